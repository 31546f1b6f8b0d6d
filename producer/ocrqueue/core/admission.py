"""Submitting to queues that may be full: the same steps for the blocking and the asyncio client.

Jobs are sent in order, up to 500 at once, and Redis takes them up to the first that finds its queue full, in one step:
what is queued of a submission is always its first jobs. Whoever waits for room asks with a single job, and with twice
as many after each success, so that waiting costs Redis little.

Replicas of Redis are waited for (WAIT) by the connection that brought the jobs, and in the same round trip: on another
connection, such as one to a primary that has taken over meanwhile, WAIT would answer of nothing.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ocrqueue.core.rates import jobs_per_second, parse_counts, retry_after_s
from ocrqueue.core.script_arguments import PIPELINE, Arguments, ScriptArguments
from ocrqueue.core.timeouts import check_seconds
from ocrqueue.errors import BatchClosed, NotReplicated, QueueFull, TenantLimited
from ocrqueue.job import Job

_LONGEST_PAUSE_S: Final = 15.0
_MONTHLY: Final = ("pages_a_month", "budget_a_month")
_RATE: Final = "rate"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Redis says of a full queue: jobs that wait and may wait, jobs that end per second if that is known."""

    engine: str
    waiting: int
    limit: int
    rate: float | None

    def retry_after_s(self, jobs: int) -> int:
        """When there should be room for so many jobs, or for as many as the queue holds."""
        return retry_after_s(self.waiting - self.limit + min(jobs, self.limit), self.rate)

    @property
    def enough(self) -> int:
        """For how many jobs room is waited for: half a queue at most, it is not to run dry meanwhile."""
        return max(1, self.limit // 2)

    @property
    def may_be_waited_for(self) -> bool:
        return True

    def error(self, pending: int, submitted: int) -> QueueFull:
        retry_after = self.retry_after_s(pending)
        when = f"room is expected in {retry_after} s" if self.rate else "none has ended in the last 5 minutes"
        return QueueFull(
            f"{self.engine}'s queue is full ({self.waiting:,} of {self.limit:,} jobs); {when}.",
            engine=self.engine,
            waiting=self.waiting,
            limit=self.limit,
            retry_after_s=retry_after,
            submitted=submitted,
        )


@dataclass(frozen=True, slots=True)
class TenantRefusal:
    """What Redis says of a tenant that has reached a limit of its own: see scripts/shared/tenant_limits.lua."""

    tenant: str
    limit: str
    used: float
    allowed: float
    wait_ms: int | None
    """Until the next job may come, where that is known."""
    now_ms: int
    rate: float | None
    """Of jobs of the engine that end per second, if that is known."""

    def retry_after_s(self, jobs: int) -> int:
        """When there should be room for so many jobs, or for as many as may be."""
        if self.wait_ms is not None:
            return max(1, math.ceil(self.wait_ms / 1000))
        if self.limit in _MONTHLY:
            return _month_ends_in_s(self.now_ms)
        return retry_after_s(max(1, round(self.used - self.allowed + min(jobs, self.allowed))), self.rate)

    @property
    def enough(self) -> int:
        """See Refusal."""
        return max(1, int(self.allowed) // 2)

    @property
    def may_be_waited_for(self) -> bool:
        """A month is not waited for."""
        return self.limit not in _MONTHLY

    def error(self, pending: int, submitted: int) -> TenantLimited:
        whose = f"Tenant {self.tenant}" if self.tenant else "Jobs without a tenant"
        told = {
            "rate": f"has submitted as fast as it may ({self.allowed:.0f} jobs at once)",
            "waiting": f"has {self.used:.0f} jobs that wait, and {self.allowed:.0f} may",
            "pages_a_month": f"has {self.used:.0f} pages this month, and {self.allowed:.0f} may be read",
            "budget_a_month": f"has spent {self.used:.2f} of {self.allowed:.2f} this month",
        }
        retry_after = self.retry_after_s(pending)
        return TenantLimited(
            f"{whose}: {told.get(self.limit, self.limit)}; room is expected in {retry_after} s.",
            tenant=self.tenant,
            limit=self.limit,
            used=self.used,
            allowed=self.allowed,
            retry_after_s=retry_after,
            submitted=submitted,
        )


def _month_ends_in_s(now_ms: int) -> int:
    """Until the next calendar month begins, in UTC."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return max(1, math.ceil((datetime(year, month, 1, tzinfo=UTC) - now).total_seconds()))


class Admission:
    """One call's jobs on their way into the queue."""

    def __init__(self, arguments: ScriptArguments, wait_for_room: float | None) -> None:
        """`wait_for_room`: longest time without room, in seconds; 0: do not wait, None: without limit."""
        check_seconds("wait_for_room", wait_for_room)
        self.pending: list[Job] = []
        self._arguments = arguments
        self._patience = float("inf") if wait_for_room is None else wait_for_room
        self._give_up_at: float | None = None
        self._queued = 0
        self._at_once = PIPELINE
        self._refusal: Refusal | TenantRefusal | None = None
        self._closed: str | None = None
        self._replicas_wanted = arguments.settings.submit_replicas
        self._fewest_replicas = self._replicas_wanted

    def take(self, jobs: Iterable[Job]) -> bool:
        """Take the next jobs, 500 at most; false if there are none."""
        self.pending = list(jobs)
        return bool(self.pending)

    def call(self) -> Arguments:
        """Arguments of SUBMIT, for the next of the pending jobs."""
        return self._arguments.submit(self.pending[: self._at_once])

    def settle(self, answer: list[Any], replicas: int) -> list[str]:
        """Take in SUBMIT's answer, and how many replicas had the jobs in time.

        Returns the ids of the jobs that now stand for the first of the pending ones.
        """
        ids, *refused = answer
        self._fewest_replicas = min(self._fewest_replicas, replicas) if ids else self._fewest_replicas
        self.pending = self.pending[len(ids) :]
        self._queued += len(ids)
        if ids:
            self._give_up_at = None
        if len(refused) == 1:
            self._closed = refused[0].decode()
        elif refused:
            self._refusal = self._understand(*refused)
            self._at_once = 1
        else:
            self._refusal = None
            self._at_once = min(2 * self._at_once, PIPELINE)
        return [job_id.decode() for job_id in ids]

    def _understand(
        self, engine: bytes, waiting: int, now_ms: bytes, counts: list[bytes], *limit: bytes
    ) -> Refusal | TenantRefusal:
        """`limit`: of a tenant; empty where the queue is full."""
        stored: Mapping[bytes, bytes] = dict(zip(counts[::2], counts[1::2], strict=True))
        rate = jobs_per_second(parse_counts(stored), int(now_ms) / 1000)
        if not limit:
            name = engine.decode()
            return Refusal(name, waiting, self._arguments.settings.max_queue_length.of(name), rate)
        tenant, name, used, allowed, wait_ms = (each.decode() for each in limit)
        wait = int(wait_ms) if wait_ms else None
        return TenantRefusal(tenant, name, float(used), float(allowed), wait, int(now_ms), rate)

    def pause_s(self) -> float:
        """How long to pause before the next call; 0 if there was room. Raises QueueFull once it was waited for,
        TenantLimited too, at once where it is for the month, and BatchClosed."""
        if self._closed is not None:
            raise BatchClosed(
                f"Batch {self._closed} is closed; {self._queued} jobs of this call were queued before.",
                submitted=self._queued,
            )
        if self._refusal is None:
            return 0.0
        now = time.monotonic()
        if self._give_up_at is None:
            self._give_up_at = now + self._patience
        if now >= self._give_up_at or not self._refusal.may_be_waited_for:
            full = self._full(self._refusal)
            full.not_replicated = self.not_replicated()
            raise full
        enough = min(len(self.pending), self._refusal.enough)
        pause = min(self._refusal.retry_after_s(enough), _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
        return min(pause, self._give_up_at - now)

    def refusal(self) -> QueueFull | None:
        """The error, if it is room that is waited for."""
        return self._full(self._refusal) if self._refusal is not None else None

    def not_replicated(self) -> NotReplicated | None:
        """The error for the jobs that are queued by now, where too few replicas had some of them in time."""
        if self._fewest_replicas >= self._replicas_wanted:
            return None
        return NotReplicated(
            f"{self._queued} jobs are queued, but only {self._fewest_replicas} of {self._replicas_wanted} replicas "
            "have all of them.",
            wanted=self._replicas_wanted,
            replicas=self._fewest_replicas,
        )

    def _full(self, refusal: Refusal | TenantRefusal) -> QueueFull:
        error = refusal.error(len(self.pending), self._queued)
        error.unsubmitted = tuple(self.pending)
        return error
