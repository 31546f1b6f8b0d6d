"""Carries a schedule out by the clock, and keeps all that is needed to judge what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from ocrqueue.errors import OcrQueueError
from tests.faults.injector import Injector
from tests.faults.installation import Installation
from tests.faults.jobs import upload_pictures
from tests.faults.producer import Producer, Submission
from tests.faults.results import result_faults, result_hash
from tests.faults.schedule import Schedule
from tests.faults.watcher import GONE, Sight, Watcher

_WITH_RESULT = {"succeeded", "partial"}


@dataclass(eq=False)
class FirstLook:
    """What was found in storage when a job's end was first seen."""

    hash: str | None = None
    """sha256 of result.json."""
    problems: tuple[str, ...] = ()


@dataclass(eq=False)
class Rehearsal:
    into: Installation
    schedule: Schedule
    submissions: list[Submission] = field(init=False)
    by_id: dict[str, Submission] = field(default_factory=dict)
    """By the id that stands for it: what was acknowledged."""
    first_looks: dict[str, FirstLook] = field(default_factory=dict)
    took_s: float = 0.0
    """From the first submission until all had ended."""

    def __post_init__(self) -> None:
        self.submissions = [Submission(plan) for plan in self.schedule.plans]
        self.watcher = Watcher(self.into, self._on_end)
        self.producer = Producer(
            self.into.producer, upload_pictures(self.into.observer.storage), self._on_acknowledgement
        )
        self.injector = Injector(self.into, self._is_healthy)
        self._looking = ThreadPoolExecutor(1, "looking")
        self._looks: list[Future[None]] = []

    def run(self, stalled_after_s: float) -> None:
        """The schedule, and then what is left of its jobs, until none has ended for `stalled_after_s` seconds."""
        begin = time.monotonic()
        self.watcher.start()
        done: list[Future[None]] = []
        with ThreadPoolExecutor(8, "producer") as producing, ThreadPoolExecutor(32, "fault") as breaking:
            for at, pool, step in sorted(self._steps(producing, breaking), key=lambda step: step[0]):
                time.sleep(max(0.0, begin + at - time.monotonic()))
                done.append(pool.submit(step))
        left, last_end = len(self.unfinished()), time.monotonic()
        while left and time.monotonic() < last_end + stalled_after_s:
            time.sleep(0.2)
            if (now := len(self.unfinished())) != left:
                left, last_end = now, time.monotonic()
        self.took_s = time.monotonic() - begin
        self.watcher.stop()
        self._looking.shutdown()
        for future in [*done, *self._looks]:
            future.result()  # an error of the rehearsal's own

    def unfinished(self) -> list[str]:
        """The jobs that wait or run."""
        return [job_id for job_id in list(self.by_id) if not self.watcher.ended(job_id) and not self.forgotten(job_id)]

    def forgotten(self, job_id: str) -> bool:
        """Whether Redis was killed before it had written the submission to its disk, and has no record of it."""
        last = self.watcher.last(job_id)
        no_record = last is None or last.state == GONE
        return no_record and self.injector.redis_killed_after(self.by_id[job_id].acknowledged_at)

    def _steps(
        self, producing: ThreadPoolExecutor, breaking: ThreadPoolExecutor
    ) -> list[tuple[float, ThreadPoolExecutor, Callable[[], None]]]:
        steps: list[tuple[float, ThreadPoolExecutor, Callable[[], None]]] = []
        for submission in self.submissions:
            plan = submission.plan
            for repeat in range(plan.repeats + 1):
                steps.append((plan.at, producing, partial(self.producer.submit, submission, repeat)))
            if plan.cancel_at is not None:
                steps.append((plan.cancel_at, producing, partial(self.producer.cancel, submission)))
        for timed in self.schedule.faults:
            steps.append((timed.at, breaking, partial(self.injector.inject, timed.fault)))
        return steps

    def _on_acknowledgement(self, submission: Submission) -> None:
        if submission.job_id is not None:
            self.by_id[submission.job_id] = submission
            self.watcher.watch(submission.job_id)

    def _is_healthy(self, job_id: str) -> bool:
        """One just submitted and not yet acknowledged is not counted as such."""
        submission = self.by_id.get(job_id)
        return submission is not None and submission.plan.kind.healthy and submission.plan.cancel_at is None

    def _on_end(self, job_id: str, sight: Sight) -> None:
        self._looks.append(self._looking.submit(self._look, job_id, sight.state))

    def _look(self, job_id: str, state: str) -> None:
        look = self.first_looks[job_id] = FirstLook()
        if state in _WITH_RESULT:
            storage, plan = self.into.observer.storage, self.by_id[job_id].plan
            look.problems = tuple(result_faults(plan, job_id, state, storage))
            try:
                look.hash = result_hash(storage, job_id)
            except OcrQueueError:
                look.hash = None  # said among the problems
