"""Submitting to queues that may be full: the same steps for the blocking and the asyncio client.

Jobs are sent in order, up to 500 at once, and Redis takes them up to the first that finds its queue full, in one step:
what is queued of a submission is always its first jobs. Whoever waits for room asks with a single job, and with twice
as many after each success, so that waiting costs Redis little.

Replicas of Redis are waited for (WAIT) by the connection that brought the jobs, and in the same round trip: on another
connection, such as one to a primary that has taken over meanwhile, WAIT would answer of nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ocrqueue.core.rates import jobs_per_second, parse_counts, retry_after_s
from ocrqueue.core.script_arguments import PIPELINE, Arguments, ScriptArguments
from ocrqueue.errors import BatchClosed, NotReplicated, QueueFull
from ocrqueue.job import Job

_LONGEST_PAUSE_S: Final = 15.0


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


class Admission:
    """One call's jobs on their way into the queue."""

    def __init__(self, arguments: ScriptArguments, wait_for_room: float | None) -> None:
        """`wait_for_room`: longest time without room, in seconds; 0: do not wait, None: without limit."""
        self.pending: list[Job] = []
        self._arguments = arguments
        self._patience = float("inf") if wait_for_room is None else wait_for_room
        self._give_up_at: float | None = None
        self._queued = 0
        self._at_once = PIPELINE
        self._refusal: Refusal | None = None
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
            engine, waiting, now_ms, counts = refused
            self._refusal = self._understand(engine.decode(), waiting, now_ms, counts)
            self._at_once = 1
        else:
            self._refusal = None
            self._at_once = min(2 * self._at_once, PIPELINE)
        return [job_id.decode() for job_id in ids]

    def _understand(self, engine: str, waiting: int, now_ms: bytes, counts: list[bytes]) -> Refusal:
        stored: Mapping[bytes, bytes] = dict(zip(counts[::2], counts[1::2], strict=True))
        rate = jobs_per_second(parse_counts(stored), int(now_ms) / 1000)
        return Refusal(engine, waiting, self._arguments.settings.max_queue_length.of(engine), rate)

    def pause_s(self) -> float:
        """How long to pause before the next call; 0 if there was room. Raises QueueFull once it was waited for,
        and BatchClosed."""
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
        if now >= self._give_up_at:
            full = self._full(self._refusal)
            full.not_replicated = self.not_replicated()
            raise full
        # for half a queue at most: it is not to run dry meanwhile
        enough = min(len(self.pending), max(1, self._refusal.limit // 2))
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

    def _full(self, refusal: Refusal) -> QueueFull:
        retry_after = refusal.retry_after_s(len(self.pending))
        when = f"room is expected in {retry_after} s" if refusal.rate else "none has ended in the last 5 minutes"
        error = QueueFull(
            f"{refusal.engine}'s queue is full ({refusal.waiting:,} of {refusal.limit:,} jobs); {when}.",
            engine=refusal.engine,
            waiting=refusal.waiting,
            limit=refusal.limit,
            retry_after_s=retry_after,
            submitted=self._queued,
        )
        error.unsubmitted = tuple(self.pending)
        return error
