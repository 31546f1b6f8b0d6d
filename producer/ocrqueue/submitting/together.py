"""Jobs that many callers of one event loop submit at the same time, one each, are sent in one step.

While one step is under way the next jobs gather, so that a single caller does not wait, and a thousand cost Redis and
this process little more than one. What becomes of a job is told to its own caller, as if it had been sent alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Final

from ocrqueue.core.admission import Admission
from ocrqueue.core.records import JobStatus, queued_status
from ocrqueue.core.redis_faults import is_of_the_request
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.errors import OcrQueueError
from ocrqueue.job import Job

_MOST: Final = 50
"""In one step: what this process takes to write their messages holds its event loop up for a few milliseconds."""

Send = Callable[[Sequence[Job]], Awaitable[tuple[list[Any], int, list[list[bytes | None]]]]]
"""SUBMIT of these jobs: its answer, how many replicas have them, and `state` and `queued_at` of each one's record."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that is queued, or the one that its idempotency key stands for."""

    job_id: str
    status: JobStatus | None
    """Of a job that waits, by the same round trip."""


class Together:
    """Of one client."""

    def __init__(self, arguments: ScriptArguments, send: Send) -> None:
        self._arguments = arguments
        self._send = send
        self._waiting: deque[tuple[Job, asyncio.Future[Queued]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def submit(self, job: Job) -> Queued:
        """Raises what a submission raises, with `unsubmitted`."""
        told: asyncio.Future[Queued] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, told))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await told

    async def close(self) -> None:
        """What is under way ends."""
        if self._sending is not None:
            await asyncio.wait([self._sending])

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                step = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
                # whose caller has gone is not sent
                step = [each for each in step if not each[1].done()]
                if step:
                    await self._send_step(step)
        finally:
            self._sending = None

    async def _send_step(self, step: Sequence[tuple[Job, asyncio.Future[Queued]]]) -> None:
        try:
            (ids, *refused), replicas, records = await self._send([job for job, _ in step])
        except BaseException as error:
            if len(step) > 1 and _is_of_one_job(error):
                await self._send_one_by_one(step)
                return
            for job, told in step:
                if not told.done():
                    # each caller notes in its own what became of its job
                    told.set_exception(_unsent(error, job))
            if not isinstance(error, Exception):
                raise
            return
        for (job, told), job_id, record in zip(step, ids, records, strict=False):
            self._settle(told, job, [[job_id]], replicas, record)
        if refused:
            job, told = step[len(ids)]
            self._settle(told, job, [[], *refused], replicas, [None, None])
        # those after the one that was refused may be for another queue
        self._waiting.extendleft(reversed(step[len(ids) + bool(refused) :]))

    async def _send_one_by_one(self, step: Sequence[tuple[Job, asyncio.Future[Queued]]]) -> None:
        """Each caller has the answer for its own; a job that is queued already is told of as such."""
        try:
            for each in step:
                if not each[1].done():
                    await self._send_step([each])
        finally:
            # one that broke off was cancelled
            for _, told in step:
                told.cancel()

    def _settle(
        self,
        told: asyncio.Future[Queued],
        job: Job,
        answer: list[Any],
        replicas: int,
        record: Sequence[bytes | None],
    ) -> None:
        if told.done():
            return
        admission = Admission(self._arguments, 0)
        admission.take([job])
        ids = admission.settle(answer, replicas)
        try:
            admission.pause_s()
            if (fault := admission.not_replicated()) is not None:
                raise fault
        except OcrQueueError as error:
            error.unsubmitted = tuple(admission.pending)
            told.set_exception(error)
            return
        state, queued_at = record
        waits = ids[0] == job.id and state == b"queued" and queued_at is not None
        told.set_result(Queued(ids[0], queued_status(job, queued_at) if waits and queued_at is not None else None))


def _is_of_one_job(error: BaseException) -> bool:
    """Whether the others of the step may be queued all the same."""
    if isinstance(error, OcrQueueError):
        return is_of_the_request(error)
    return isinstance(error, Exception)


def _unsent(error: BaseException, job: Job) -> BaseException:
    if not isinstance(error, OcrQueueError):
        return error if isinstance(error, Exception) else asyncio.CancelledError()
    own = copy(error)
    own.__dict__.update(error.__dict__)
    own.__cause__ = error.__cause__
    own.unsubmitted = (job,)
    return own
