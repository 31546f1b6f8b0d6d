"""An app that submits and cancels, and insists where the broker is unavailable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ocrqueue import OcrQueue
from ocrqueue.errors import BrokerUnavailable
from tests.faults.jobs import Plan

_GIVE_UP_S: Final = 60.0
_PAUSE_S: Final = 0.2


@dataclass(eq=False)
class Submission:
    """A job, and what the producer was told of it. Times in seconds since 1970."""

    plan: Plan
    job_id: str | None = None
    """The id that stands for it, once it is acknowledged."""
    acknowledged_at: float = 0.0
    answers: set[str] = field(default_factory=set)
    """The ids told to it and its repeats."""
    cancel_answer: str | None = None
    cancelled_at: float = 0.0
    """When the cancel was answered."""
    failure: str | None = None
    """What it was told instead."""


@dataclass(eq=False)
class Producer:
    """Its methods may be called from several threads."""

    queue: OcrQueue
    references: Mapping[str, str]
    acknowledged: Callable[[Submission], None]
    """Called whenever a submission has an id."""
    refusals: list[float] = field(default_factory=list)
    """How long each call took that found the broker unavailable, in seconds."""
    submitted_at: list[float] = field(default_factory=list)
    """When submissions succeeded, seconds since 1970."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, submission: Submission, repeat: int) -> None:
        """Until it is acknowledged: the same job, so that one taken without our knowing is not taken twice."""
        job = submission.plan.job(self.references, repeat)
        answer = self._insist(submission, lambda: self.queue.submit(job).id)
        if answer is not None:
            with self._lock:
                now = time.time()
                self.submitted_at.append(now)
                submission.answers.add(answer)
                submission.job_id, submission.acknowledged_at = answer, submission.acknowledged_at or now
                self.acknowledged(submission)

    def cancel(self, submission: Submission) -> None:
        """As soon as the job has an id."""
        deadline = time.monotonic() + _GIVE_UP_S
        while submission.job_id is None and submission.failure is None and time.monotonic() < deadline:
            time.sleep(0.05)
        job_id = submission.job_id
        if job_id is not None:
            submission.cancel_answer = self._insist(submission, lambda: self.queue.job(job_id).cancel())
            submission.cancelled_at = time.time()

    def _insist(self, submission: Submission, call: Callable[[], str]) -> str | None:
        deadline = time.monotonic() + _GIVE_UP_S
        while True:
            begin = time.monotonic()
            try:
                return call()
            except BrokerUnavailable as error:
                self.refusals.append(time.monotonic() - begin)
                if time.monotonic() > deadline:
                    submission.failure = str(error)
                    return None
                time.sleep(_PAUSE_S)
            except Exception as error:
                submission.failure = f"{type(error).__name__}: {error}"
                return None
