"""One attempt at one part: what it works with, how long each step takes, and whether it is still wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from billiard import current_process

from ocrqueue.core import Hold, Start, WorkerRegistry
from ocrqueue.core.records import is_readable
from ocrqueue.document import Timings
from ocrqueue.errors import BrokerUnavailable, JobCancelled, JobMalformed
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import Storage
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.telemetry.tracing import step_span, step_taken

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Workplace:
    """What a worker child has at hand for every job."""

    settings: WorkerSettings
    registry: WorkerRegistry
    storage: Storage
    engine: Callable[[str], Engine[Any]]
    """The loaded engine of a name. Raises EngineUnknown, EngineUnavailable."""
    about_to_end: Callable[[Hold], None] = lambda _: None
    """Called when only the result of a part is left to be stored: the next part can be taken meanwhile."""


@dataclass
class Stopwatch:
    """Seconds spent in each step."""

    started: float = field(default_factory=time.monotonic)
    spent: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            with step_span(step):
                yield
        finally:
            self._add(step, time.monotonic() - begin)

    def add(self, step: str, seconds: float) -> None:
        """It took so long until now."""
        step_taken(step, seconds)
        self._add(step, seconds)

    def _add(self, step: str, seconds: float) -> None:
        self.spent[step] = self.spent.get(step, 0.0) + seconds

    def timings(self, queue_wait_s: float, before: Timings | None = None) -> Timings:
        """With what other attempts at the same job have spent `before`."""
        spent = {**self.spent, "total_s": time.monotonic() - self.started}
        spent_before = before.model_dump() if before else {}
        steps = (spent.keys() | spent_before.keys()) - {"queue_wait_s"}
        summed = {step: round(spent.get(step, 0.0) + spent_before.get(step, 0.0), 4) for step in steps}
        return Timings(queue_wait_s=queue_wait_s, **summed)


@dataclass(frozen=True)
class Attempt:
    """One attempt at one part of a job; most have one."""

    job: Job
    hold: Hold
    start: Start
    workplace: Workplace
    watch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def storage(self) -> Storage:
        return self.workplace.storage

    @property
    def is_closing(self) -> bool:
        """Whether it gathers the pages that the job's other parts have read."""
        return self.hold.page is None and self.start.pages > 0

    @property
    def name(self) -> str:
        """What tells what it stores from what others at the job store; "" where there can have been no other.

        The number alone does not: it begins again where the job is replayed, or Redis has forgotten an attempt.
        """
        return f"{self.start.number}-{self.hold.token[:8]}" if self.start.may_be_stored else ""

    def timings(self, before: Timings | None = None) -> Timings:
        return self.watch.timings(self.start.queue_wait_s, before)

    def check_readable(self) -> None:
        """Raises JobMalformed where the record does not say what is to be read."""
        if not is_readable(self.job):
            raise JobMalformed("The job's record cannot be read, or its id is not valid.")

    def check_cancelled(self, done: int, pages: int) -> None:
        """Note the progress in pages. Raises JobCancelled if the job is to stop, JobElsewhere if it has ended or left.

        A child of a prefork worker that has one page has nothing to tell: it is killed where the job is to stop.
        """
        if pages <= 1 and current_process().daemon:
            return
        try:
            verdict = self.workplace.registry.progress(self.hold, done, pages)
        except BrokerUnavailable as error:
            # an outage is no reason to throw work away; whether the job was cancelled shows at its end
            _log.warning("cannot note the progress", error=error.code)
            return
        if verdict == "stop":
            raise JobCancelled
        if verdict == "gone":
            raise JobElsewhere


class JobElsewhere(Exception):
    """A newer attempt has the job: this one was taken for lost."""
