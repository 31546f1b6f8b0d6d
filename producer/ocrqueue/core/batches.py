"""Batches: jobs of a tenant under a common name, counted as they end; see scripts/shared/batches.lua.

What is asked of them is in steps, the same for both clients.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, computed_field

from ocrqueue.core.celery_messages import prepare_messages
from ocrqueue.core.job_lists import Place, find
from ocrqueue.core.records import JobStatus, State, parse_record
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Await, Call, Commands, Move, Sleep, Steps
from ocrqueue.core.timeouts import check_seconds, shown_seconds
from ocrqueue.errors import BatchClosed, BatchInvalid, BatchUnknown, BrokerUnavailable, JobWaitTimeout
from ocrqueue.job import BATCH, REPLY_QUEUE, TENANT, is_reserved_queue

_AT_ONCE: Final = 100
_SHORTEST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
"""Between two looks at the counts of a batch that is waited for."""
_ENDED_BEFORE: Final = 2
"""As the script CLOSE_BATCH says that a reply comes too late."""

_ENDED: Final[tuple[State, ...]] = ("succeeded", "partial", "failed", "cancelled")


class BatchStatus(BaseModel):
    """A batch at one moment. Counted are all jobs that were ever in it, also those that were deleted since."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str
    tenant: str = ""
    jobs: int = 0
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    partial: int = 0
    failed: int = 0
    cancelled: int = 0
    created_at: datetime | None = None
    closed_at: datetime | None = None
    """Since when nothing more comes into it."""
    ended_at: datetime | None = None
    """When the last job of the closed batch ended."""

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def ended(self) -> int:
        """Jobs that have."""
        return self.succeeded + self.partial + self.failed + self.cancelled

    @computed_field  # type: ignore[prop-decorator]  # the same
    @property
    def progress(self) -> float:
        """The share of its jobs that have ended, from 0 to 1."""
        return self.ended / self.jobs if self.jobs else 1.0

    @property
    def closed(self) -> bool:
        return self.closed_at is not None

    @property
    def counts(self) -> dict[State, int]:
        """Jobs by state; the sum is `jobs`."""
        by_state: dict[State, int] = {state: getattr(self, state) for state in _ENDED}
        return {"queued": self.queued, "running": self.running, **by_state}


ProgressCallback = Callable[[BatchStatus], None]
AsyncProgressCallback = Callable[[BatchStatus], Awaitable[None] | None]
"""A plain function, or one that is awaited."""


def check_name(name: str, tenant: str) -> None:
    """Raises BatchInvalid for what no batch or tenant can be called."""
    for what, pattern, given in (("batch", BATCH, name), ("tenant", TENANT, tenant)):
        if not isinstance(given, str) or not re.fullmatch(pattern.strip("^$"), given):
            raise BatchInvalid(f"No {what} can be called {ascii(given)[:80]}.")


def parse_batch(name: str, tenant: str, stored: Mapping[bytes, bytes]) -> BatchStatus:
    """From its hash as Redis returns it (not empty)."""
    fields = {field.decode(errors="replace"): value.decode(errors="replace") for field, value in stored.items()}

    def count(what: str) -> int:
        return int(fields[what]) if fields.get(what, "").isdecimal() else 0

    def moment(what: str) -> datetime | None:
        return datetime.fromtimestamp(count(what) / 1000, UTC) if what in fields else None

    ended: dict[str, int] = {state: count(state) for state in _ENDED}
    at_work = max(0, count("jobs") - sum(ended.values()))
    running = min(count("running"), at_work)
    times = {what: moment(what) for what in ("created_at", "closed_at", "ended_at")}
    counts = {"jobs": count("jobs"), "queued": at_work - running, "running": running, **ended}
    return BatchStatus.model_validate({"name": name, "tenant": tenant, **counts, **times})


def batch_status(arguments: ScriptArguments, name: str, tenant: str) -> Steps[BatchStatus]:
    """Raises BatchUnknown."""
    (stored,) = yield Commands([("HGETALL", arguments.keys.batch(tenant, name))])
    if not stored:
        raise _unknown(name, tenant)
    return parse_batch(name, tenant, stored)


def close_batch(arguments: ScriptArguments, name: str, tenant: str, reply_to: str | None) -> Steps[BatchStatus]:
    """Raises BatchUnknown, BatchInvalid for a reply queue that none can be, BatchClosed where it comes too late."""
    if reply_to is not None and (not re.fullmatch(REPLY_QUEUE.strip("^$"), reply_to) or is_reserved_queue(reply_to)):
        raise BatchInvalid(
            f"No app's queue can be called {reply_to[:80]!r}.", remedy="Name a queue that a Celery worker of yours has."
        )
    if reply_to is not None:
        yield Call(prepare_messages)
    closed = yield Move("close_batch", arguments.close_batch(tenant, name, reply_to))
    if not closed:
        raise _unknown(name, tenant)
    if closed == _ENDED_BEFORE:
        raise BatchClosed(
            f"The batch {name} has ended already: {reply_to} gets no message.",
            remedy="Read its counts now, or name the reply queue before the last job ends.",
        )
    return (yield from batch_status(arguments, name, tenant))


def wait_for_batch(
    arguments: ScriptArguments,
    name: str,
    tenant: str,
    timeout: float | None,
    on_progress: AsyncProgressCallback | None,
    *,
    until_closed: bool,
) -> Steps[BatchStatus]:
    """Raises JobWaitTimeout, BatchUnknown, and BrokerUnavailable once an outage was too long."""
    check_seconds("timeout", timeout)
    now = time.monotonic()
    deadline = float("inf") if timeout is None else now + timeout
    answered_at, pause_s, before = now, _SHORTEST_PAUSE_S, None
    while True:
        try:
            status = yield from batch_status(arguments, name, tenant)
        except BrokerUnavailable as outage:
            until = deadline
            if timeout is None or not outage.may_pass:
                until = min(deadline, answered_at + arguments.settings.longest_outage_s)
            if time.monotonic() >= until:
                raise
        else:
            answered_at = time.monotonic()
            if on_progress is not None and status != before and (told := on_progress(status)) is not None:
                yield Await(told)
            before = status
            if status.ended == status.jobs and (status.closed or not until_closed):
                return status
            if answered_at >= deadline:
                raise JobWaitTimeout(_out_of_time(status, timeout, until_closed=until_closed))
        yield Sleep(max(0.0, min(pause_s, deadline - time.monotonic())))
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)


def _out_of_time(status: BatchStatus, timeout: float | None, *, until_closed: bool) -> str:
    left = status.jobs - status.ended
    told = f"Batch {status.name} did not finish within {shown_seconds(timeout)}:"
    if not left:
        return f"{told} it is not closed."
    still = f"{told} {left:,} of {status.jobs:,} jobs {'is' if left == 1 else 'are'} left"
    return f"{still}, and it is not closed." if until_closed and not status.closed else f"{still}."


def batch_jobs(
    arguments: ScriptArguments, name: str, tenant: str, after: Place | None
) -> Steps[tuple[list[JobStatus], Place | None]]:
    """The next of its jobs that have records, in the order of their submission, and where they go on; None: nowhere."""
    found = yield from find(arguments, f"by_batch:{tenant}:{name}", {}, after, _AT_ONCE)
    if not found.jobs:
        return [], found.after
    records = yield Commands([("HGETALL", arguments.keys.record(job.id)) for job in found.jobs])
    statuses = [parse_record(job.id, record) for job, record in zip(found.jobs, records, strict=True) if record]
    return statuses, found.after


def _unknown(name: str, tenant: str) -> BatchUnknown:
    return BatchUnknown(f"No batch {name}{f' of tenant {tenant}' if tenant else ''}.")
