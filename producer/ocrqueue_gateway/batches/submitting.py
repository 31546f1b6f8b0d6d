"""POST /v1/batches: from lines in a file to jobs in their queues, 500 at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import EngineUnknown, ErrorInfo, OcrQueueError
from ocrqueue.job import Job
from ocrqueue.job.names import AUTO
from ocrqueue.routing.policy import unknown_engine
from ocrqueue_gateway.batches.lines import Line

MOST_ERRORS: Final = 1000
"""That are told one by one; the others are counted."""
_NO_ROOM: Final = ("queue.full", "tenant.limited")
"""After which the rest of the lines is not tried."""
_OF_ONE: Final = ("job.", "engine.", "language.", "option.", "source.")
"""Families of errors that are about a single job: the others go on."""


@dataclass
class Submitted:
    """What has become of the lines so far."""

    accepted: int = 0
    rejected: int = 0
    errors: list[Line] = field(default_factory=list)
    full: ErrorInfo | None = None
    """Why no further line is queued."""
    _known: dict[tuple[object, ...], ErrorInfo] = field(default_factory=dict)
    """What was wrong with languages that were named: the same is not asked again for each line."""

    async def take(self, queue: AsyncOcrQueue, lines: Sequence[Line]) -> None:
        """Raises what is wrong with no single line, such as BrokerUnavailable."""
        jobs: list[Line] = []
        for line in lines:
            known = self.full or (self._known.get(_routing(line.job)) if line.job is not None else line.error)
            if known is not None:
                self._reject(line, known)
            else:
                jobs.append(line)
        while jobs:
            jobs = await self._submit(queue, jobs)

    async def _submit(self, queue: AsyncOcrQueue, lines: list[Line]) -> list[Line]:
        """Returns those that are still to be submitted."""
        try:
            await queue.submit_many([line.job for line in lines if line.job is not None])
        except OcrQueueError as error:
            queued = len(error.submitted)
            self.accepted += queued
            if error.code in _NO_ROOM:
                self.full = error.info
                for line in lines[queued:]:
                    self._reject(line, error.info)
                return []
            if not error.code.startswith(_OF_ONE) or queued == len(lines):
                raise
            bad = lines[queued]
            self._reject(bad, error.info)
            if isinstance(error, EngineUnknown):
                return await self._with_known_engines(queue, lines[queued + 1 :])
            if bad.job is not None and error.code.startswith("language."):
                return self._without(_routing(bad.job), error.info, lines[queued + 1 :])
            return lines[queued + 1 :]
        self.accepted += len(lines)
        return []

    async def _with_known_engines(self, queue: AsyncOcrQueue, lines: Sequence[Line]) -> list[Line]:
        """The lines that name only engines that are known: each may name another one that is not."""
        known = {AUTO, *await queue.engines()}
        left = []
        for line in lines:
            unknown = next((name for name in _engines(line.job) if name not in known), None) if line.job else None
            if unknown is None:
                left.append(line)
            else:
                self._reject(line, unknown_engine(unknown, known).info)
        return left

    def _without(self, routing: tuple[object, ...], error: ErrorInfo, lines: Sequence[Line]) -> list[Line]:
        """The lines that do not ask for the same, which is refused for the same reason."""
        self._known[routing] = error
        left = []
        for line in lines:
            if line.job is not None and _routing(line.job) == routing:
                self._reject(line, error)
            else:
                left.append(line)
        return left

    def _reject(self, line: Line, error: ErrorInfo) -> None:
        self.rejected += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(line.failed(error))


def _engines(job: Job) -> tuple[str, ...]:
    """All that it names, the first as the first."""
    return (*((job.engine,) if job.engine else ()), *(job.fallback or ()), *(job.compare or ()))


def _routing(job: Job) -> tuple[object, ...]:
    return job.engine, job.fallback, job.compare, job.languages


async def submit_all(queue: AsyncOcrQueue, chunks: Iterator[list[Line]]) -> Submitted:
    """`chunks`: of Lines.parse(), which is run in a thread."""
    submitted = Submitted()
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        await submitted.take(queue, chunk)
    return submitted
