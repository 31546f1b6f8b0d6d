"""What a worker says of the jobs of one message: that they begin, that they are to be tried again, how they ended."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import structlog
from celery import Celery
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from ocrqueue.core import Holder, JobStatus, Outcome, Registry, Start
from ocrqueue.document import Document
from ocrqueue.errors import (
    BrokerUnavailable,
    EngineOutOfMemory,
    EngineTimeout,
    InternalError,
    JobCancelled,
    JobPoison,
    OcrQueueError,
    error_from_info,
)
from ocrqueue.job import Job
from ocrqueue.settings import Settings
from ocrqueue.storage import open_storage
from ocrqueue_worker.limits.time_limits import time_limits
from ocrqueue_worker.pipeline.attempt import JobElsewhere, Workplace
from ocrqueue_worker.pipeline.orphaned_objects import remove_leftovers
from ocrqueue_worker.routes.engine_failure import instead_of_failing
from ocrqueue_worker.routes.steps import Onward
from ocrqueue_worker.task.redis_outage import Answer, until_redis_answers
from ocrqueue_worker.telemetry import metrics, tracing

_log = structlog.get_logger(__name__)

FINISHED_TASK: Final = "ocrqueue.finished"
"""Sent to a job's `reply_to` queue with the summary, once the job has ended."""

Summary = dict[str, object]
"""How a job ended, as `AsyncResult(id).get()` returns it."""


class JobFailed(Exception):
    """What `AsyncResult(id).get()` raises for a failed job: "<code>: <message> <remedy>"."""


@dataclass(frozen=True)
class Delivery:
    """Of one message, which holds one job or a group of them.

    Every method raises Ignore where there is nothing left to do about the job here: another attempt has it, or will
    have it, or Redis stays away and the reconciler will find the job by its record.
    """

    workplace: Workplace
    app: Celery
    node: str
    """The worker's node name."""
    wants_summary: bool
    """Whether somebody may hold an AsyncResult: so for jobs that were sent by name."""

    @property
    def settings(self) -> Settings:
        return self.workplace.settings

    @property
    def registry(self) -> Registry:
        return self.workplace.registry

    def begin(self, job: Job, in_group: bool = False) -> Start | Summary:
        """The attempt that is to be made at the job, or the answer of one that has ended."""
        delivery = uuid4().hex
        start = self._until_redis_answers(
            job, lambda: self.registry.begin(job, self.node, self.wants_summary, delivery, in_group)
        )
        match start.verdict:
            case "elsewhere":
                _log.info("job is in other hands")
                raise Ignore
            case "alone":
                _log.info("job goes back to its queue, to be read by itself")
                raise Ignore
            case "finished":
                return self._repeat(job)
            case "cancelled":
                return self.end(job, Outcome(job_id=job.id, state="cancelled"))
            case "poison":
                lost = JobPoison(f"Delivered {start.number} times, and each time the worker was lost.")
                # nothing that the image could take a worker down with is tried again
                return self._end(job, self._without(job, start, lost, with_missing_crops=False), None, start.number)
        metrics.job_begun(job, start)
        _log.info("job started", attempt=start.number, queue_wait_s=start.queue_wait_s)
        return start

    def outcome_of(self, job: Job, start: Start, error: Exception) -> Outcome | Onward:
        """How the job ends that met with `error`, or goes on; one that is worth it is tried again instead."""
        match error:
            case JobElsewhere():
                _log.info("job is in other hands")
                raise Ignore
            case JobCancelled():
                return Outcome(job_id=job.id, state="cancelled")
            case OcrQueueError():
                if error.retryable and start.retries < self.settings.retry_limit:
                    self._try_again(job, start, error)
                return self._without(job, start, error)
            case SoftTimeLimitExceeded():
                soft_s = time_limits(self.settings, job).soft_s
                return self._without(job, start, EngineTimeout(f"Not finished after {soft_s} s."))
            case MemoryError():
                # let through, it would end the worker's main process and requeue the job (celery's own handling)
                return self._without(job, start, EngineOutOfMemory())
            case _:
                _log.error("job met an unexpected error", exc_info=error)
                return self._without(job, start, InternalError(f"Unexpected {type(error).__name__}."))

    def _without(
        self, job: Job, start: Start, error: OcrQueueError, with_missing_crops: bool = True
    ) -> Outcome | Onward:
        """How the job ends, or goes on, whose engine failed for good."""
        if job.route is None:
            return failed(job.id, error)
        try:
            instead = instead_of_failing(job, start, self.workplace, error, with_missing_crops)
        except JobCancelled:
            return Outcome(job_id=job.id, state="cancelled")
        except JobElsewhere:
            raise Ignore from None
        except OcrQueueError as another:
            _log.warning("what stands cannot be made the result", error=another.code)
            instead = None
        return instead or failed(job.id, error)

    def _try_again(self, job: Job, start: Start, error: OcrQueueError) -> None:
        """Release the job, to be tried again after exponential backoff with full jitter above half.

        The pause is kept in Redis, not in this worker, which may be gone by then. Raises Ignore: this delivery is done.
        """
        longest = min(self.settings.retry_backoff_max_s, self.settings.retry_backoff_s * 2**start.retries)
        pause_s = longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
        done = self._release(job, error, start.number, pause_s)
        _log.warning("job failed for now", error=error.code, attempt=start.number, pause_s=round(pause_s, 2), job=done)
        if done == "released":
            metrics.job_retried(job, error.info)
            tracing.attempt_failed(error.code)
        if done != "ended":
            raise Ignore

    def give_back(self, job: Job, error: OcrQueueError, start: Start | None = None) -> None:
        """Put the job in its queue again, with a message of its own, to be read at once and by itself.

        `start` is that of the attempt, None where it had not begun. Does not count as a delivery or retry.
        """
        done = self._release(job, error, start.number if start else 0)
        _log.info("job goes back to its queue, to be read by itself", error=error.code, job=done)

    def _release(self, job: Job, error: OcrQueueError, attempt: int, pause_s: float = 0.0) -> str:
        holder = Holder(self.node, attempt)
        return self._until_redis_answers(
            job, lambda: self.registry.release(job, error.info, holder, self.wants_summary, pause_s)
        )

    def end(self, job: Job, outcome: Outcome | Onward, start: Start | None = None) -> Summary:
        """Close the record, remove what a job without a result left in storage, reply; raise if it failed.

        An attempt (`start`) that failed leaves a job alone that a newer attempt has. Raises JobFailed. A job that goes
        on to the next engine does not end.
        """
        return self._end(job, outcome, start, start.number if start else 0)

    def _end(self, job: Job, outcome: Outcome | Onward, start: Start | None, deliveries: int) -> Summary:
        if isinstance(outcome, Onward):
            return self.send_on(job, outcome, start)
        holder = Holder(self.node, start.number) if start and outcome.state == "failed" else None
        stands = self._until_redis_answers(job, lambda: self.registry.finish(job, outcome, holder))
        if stands == "elsewhere":
            _log.info("job is in other hands", error=outcome.error.code if outcome.error else None)
            raise Ignore
        if stands != outcome.state:
            _log.info("job had ended before", state=stands)
            return self._repeat(job)
        if outcome.result is None:
            remove_leftovers(open_storage(self.settings), job.id, None)
        metrics.job_ended(job, outcome, deliveries)
        tracing.job_ended(outcome)
        _log.info(
            "job ended",
            state=outcome.state,
            error=outcome.error.code if outcome.error else None,
            pages=outcome.pages,
            words=outcome.words,
            cached=outcome.cached,
            **outcome.timings.model_dump(),
        )
        return self._answer(job, outcome)

    def send_on(self, job: Job, onward: Onward, start: Start | None = None) -> Summary:
        """Put the job in the queue of the engine whose turn it is. Raises Ignore: this delivery is done."""
        holder = Holder(self.node, start.number) if start else None
        done = self._until_redis_answers(
            job,
            lambda: self.registry.send_on(onward.job, job.engine, holder, self.wants_summary, onward.pages),
        )
        if done == "cancelled":
            return self.end(job, Outcome(job_id=job.id, state="cancelled"), start)
        if done == "sent":
            metrics.job_sent_on(job, onward.job, onward.pages)
        _log.info("job goes on", to=onward.job.engine, queue=onward.job.queue, job=done)
        raise Ignore

    def _repeat(self, job: Job) -> Summary:
        """The answer of a job that has ended, for a delivery that came after."""
        status = self._until_redis_answers(job, lambda: self.registry.status(job.id))
        self._remove_leftovers(job, status)
        outcome = Outcome.model_validate(
            {**status.model_dump(), "job_id": job.id, "pages": status.pages or 0, "words": status.words or 0}
        )
        return self._answer(job, outcome)

    def _remove_leftovers(self, job: Job, status: JobStatus) -> None:
        """Of this attempt at a job that has ended, or of one whose process was killed."""
        storage = open_storage(self.settings)
        if status.result is None:
            remove_leftovers(storage, job.id, None)
        elif status.attempts > 1:
            with suppress(OcrQueueError):
                result = Document.model_validate_json(storage.read_uri(status.result))
                remove_leftovers(storage, job.id, result)

    def _answer(self, job: Job, outcome: Outcome) -> Summary:
        """Raises JobFailed, but only where an AsyncResult may wait for it: Celery makes a copy of its traceback, with
        all its frames' code a third of a megabyte."""
        send_reply(self.app, job, outcome)
        if outcome.state == "failed" and outcome.error is not None and self.wants_summary:
            raise JobFailed(str(error_from_info(outcome.error)))
        return outcome.to_message()

    def _until_redis_answers(self, job: Job, call: Callable[[], Answer]) -> Answer:
        """`call`, which tells Redis of the job, however long Redis is away within the hard time limit."""
        try:
            return until_redis_answers(call, self.settings.hard_time_limit_s.of(job.engine))
        except BrokerUnavailable as error:
            _log.error("gives up on Redis; the job is left to the reconciler", error=error.code)
            raise Ignore from None


def failed(job_id: str, error: OcrQueueError) -> Outcome:
    return Outcome(job_id=job_id, state="failed", error=error.info)


def send_reply(app: Any, job: Job, outcome: Outcome) -> None:
    """Tell the job's reply queue, if it has one, how it ended."""
    if job.reply_to:
        app.send_task(FINISHED_TASK, kwargs={"summary": outcome.to_message()}, queue=job.reply_to, ignore_result=True)
