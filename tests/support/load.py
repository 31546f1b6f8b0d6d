"""An app at work while Redis fails over: jobs are submitted until they are accepted, and waited for all at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.errors import BrokerUnavailable, JobUnknown, NotReplicated
from ocrqueue.settings import WorkerSettings

UNKNOWN: Final = "unknown"
_MOST_WAITING: Final = 200
_POLLING: Final = 8
_POLL_S: Final = 0.02
_PAUSE_S: Final = 0.2
"""Between two jobs, and before a job is submitted again."""


@dataclass
class Load:
    """From a thread and from an event loop, by half."""

    settings: WorkerSettings
    image: str
    patient_s: float
    """In which every job that was accepted is to end."""
    accepted: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    """By job id: the state that who waits for it was told, "unknown", or any other error."""
    told_at: dict[str, float] = field(default_factory=dict)
    """time.monotonic()"""
    refusals: Counter[str] = field(default_factory=Counter)
    """By code."""
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """After the block no job is submitted any more; it ends when all have ended."""
        with ThreadPoolExecutor(2) as pool:
            apps = [pool.submit(self._blocking), pool.submit(asyncio.run, self._asyncio())]
            try:
                yield
            finally:
                self._enough.set()
            for app in apps:
                app.result()

    def _job(self) -> Job:
        return Job(image=self.image, engine="null", crops="none", cache=False, options={"delay_s": 0.05})

    def _blocking(self) -> None:
        with OcrQueue(self.settings) as queue, ThreadPoolExecutor(_MOST_WAITING) as waiting:
            while not self._enough.is_set():
                job = self._job()
                while not self._submitted(queue, job):
                    time.sleep(_PAUSE_S)
                self.accepted.append(job.id)
                waiting.submit(self._wait, queue, job.id)
                time.sleep(_PAUSE_S)

    def _submitted(self, queue: OcrQueue, job: Job) -> bool:
        try:
            queue.submit(job)
        except (BrokerUnavailable, NotReplicated) as error:
            self.refusals[error.code] += 1
            return False
        return True

    def _wait(self, queue: OcrQueue, job_id: str) -> None:
        try:
            self._note(job_id, queue.job(job_id).wait(self.patient_s).state)
        except JobUnknown:
            self._note(job_id, UNKNOWN)
        except Exception as error:
            self._note(job_id, repr(error))

    def _note(self, job_id: str, told: str) -> None:
        self.told_at[job_id] = time.monotonic()
        self.told[job_id] = told

    async def _asyncio(self) -> None:
        async with AsyncOcrQueue(self.settings) as queue, asyncio.TaskGroup() as waiting:
            while not self._enough.is_set():
                job = self._job()
                while not await self._submitted_async(queue, job):
                    await asyncio.sleep(_PAUSE_S)
                self.accepted.append(job.id)
                waiting.create_task(self._wait_async(queue, job.id))
                await asyncio.sleep(_PAUSE_S)

    async def _submitted_async(self, queue: AsyncOcrQueue, job: Job) -> bool:
        try:
            await queue.submit(job)
        except (BrokerUnavailable, NotReplicated) as error:
            self.refusals[error.code] += 1
            return False
        return True

    async def _wait_async(self, queue: AsyncOcrQueue, job_id: str) -> None:
        try:
            self._note(job_id, (await queue.job(job_id).wait(self.patient_s)).state)
        except JobUnknown:
            self._note(job_id, UNKNOWN)
        except Exception as error:
            self._note(job_id, repr(error))


@dataclass
class Polling:
    """Many who ask again and again what has become of a job, in threads and in an event loop."""

    settings: WorkerSettings
    job_id: str
    wrong: list[str] = field(default_factory=list)
    """What they were told but the job's state, or that Redis does not answer."""
    answers: int = 0
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(_POLLING + 1) as pool, OcrQueue(self.settings) as queue:
            apps = [
                *(pool.submit(self._blocking, queue) for _ in range(_POLLING)),
                pool.submit(asyncio.run, self._all()),
            ]
            try:
                yield
            finally:
                self._enough.set()
            for app in apps:
                app.result()

    def _blocking(self, queue: OcrQueue) -> None:
        while not self._enough.wait(_POLL_S):
            with self._noted():
                queue.job(self.job_id).status()

    async def _all(self) -> None:
        async with AsyncOcrQueue(self.settings) as queue:
            await asyncio.gather(*(self._asyncio(queue) for _ in range(_POLLING)))

    async def _asyncio(self, queue: AsyncOcrQueue) -> None:
        while not self._enough.is_set():
            with self._noted():
                await queue.job(self.job_id).status()
            await asyncio.sleep(_POLL_S)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
            self.answers += 1
        except BrokerUnavailable:
            pass
        except Exception as error:
            self.wrong.append(repr(error))
