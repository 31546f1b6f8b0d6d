"""The task `ocrqueue.recognize`: deliveries, cancel, retries and errors at the edge; the work is in `pipeline`."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import structlog
from celery import Task
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from ocrqueue.document import Document
from ocrqueue.errors import (
    BrokerUnavailable,
    EngineOutOfMemory,
    EngineTimeout,
    ErrorInfo,
    InternalError,
    JobCancelled,
    JobMalformed,
    JobPoison,
    OcrQueueError,
    error_from_info,
)
from ocrqueue.job import JOB_ID, Job, engine_queues, parse_job
from ocrqueue.messages import TASK
from ocrqueue.registry import Holder, JobStatus, Outcome, Registry, Start
from ocrqueue.settings import Settings
from ocrqueue.storage import open_storage
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.engines.loading import engine_names, make_engine
from ocrqueue_worker.job_request import JobRequest, readable_job
from ocrqueue_worker.leftovers import remove_leftovers
from ocrqueue_worker.patience import Answer, persistently
from ocrqueue_worker.pipeline import JobElsewhere, Workplace, read_job
from ocrqueue_worker.time_limits import time_limits

_log = structlog.get_logger(__name__)

FINISHED_TASK: Final = "ocrqueue.finished"
"""Sent to a job's `reply_to` queue with the summary, once the job has ended."""


class JobFailed(Exception):
    """What `AsyncResult(id).get()` raises for a failed job: "<code>: <message> <remedy>"."""


class RecognizeTask(Task):  # type: ignore[misc]  # celery has no types
    """Reads one image. See docs/celery.md for the message."""

    name = TASK
    Request = JobRequest
    throws = (JobFailed,)
    max_retries = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = Registry(settings)
        self._engines: dict[tuple[int, str], Engine[Any]] = {}

    # --- engines ---------------------------------------------------------------------------------------------------

    def engines_of(self, queues: Iterable[str]) -> list[str]:
        """The installed engines that have a lane among `queues`."""
        consumed = set(queues)
        return [name for name in engine_names() if consumed.intersection(engine_queues(name))]

    def engine(self, name: str, load: bool = True) -> Engine[Any]:
        """This process's engine of that name. Raises EngineUnknown, EngineUnavailable."""
        key = (os.getpid(), name)
        if key not in self._engines:
            engine = make_engine(name, self.settings)
            if not load:
                return engine
            engine.load()
            self._engines[key] = engine
        return self._engines[key]

    def load_engines(self) -> None:
        """Load what the worker's queues need, before the first job."""
        for name in self.engines_of(self.app.amqp.queues.consume_from):
            self.engine(name)

    def close(self) -> None:
        for (pid, _), engine in self._engines.items():
            if pid == os.getpid():
                engine.close()

    # --- one delivery ----------------------------------------------------------------------------------------------

    def run(self, job: object = None, refusal: object = None) -> dict[str, object]:
        """`refusal` is the error of a message that `envelopes` does not take. Returns the summary. Raises JobFailed."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job_id=self.request.id)
        if not re.fullmatch(JOB_ID, self.request.id):
            # no key in Redis or storage may be made of it, so there is no record either
            _log.error("dropped a message whose id can be none of a job")
            raise JobFailed(str(JobMalformed("The Celery task id is no job id: letters, digits, - and _, 64 at most.")))
        try:
            if refusal is not None:
                raise error_from_info(ErrorInfo.model_validate(refusal))
            parsed = parse_job(job, self.request.id)
        except OcrQueueError as error:
            unread = readable_job(job, self.request.id)
            return self._end(unread, _failed(unread.id, error))
        structlog.contextvars.bind_contextvars(job_id=parsed.id, engine=parsed.engine)
        delivery = uuid4().hex
        start = self._persistently(
            parsed, lambda: self.registry.begin(parsed, self._node(), self._wants_summary(), delivery)
        )
        match start.verdict:
            case "elsewhere":
                _log.info("job is in other hands")
                raise Ignore
            case "finished":
                return self._repeat(parsed)
            case "cancelled":
                return self._end(parsed, Outcome(job_id=parsed.id, state="cancelled"))
            case "poison":
                lost = JobPoison(f"Delivered {start.number} times, and each time the worker was lost.")
                return self._end(parsed, _failed(parsed.id, lost))
        return self._work(parsed, start)

    def _work(self, job: Job, start: Start) -> dict[str, object]:
        _log.info("job started", attempt=start.number, queue_wait_s=start.queue_wait_s)
        try:
            workplace = Workplace(self.settings, self.registry, open_storage(self.settings), self.engine)
            outcome = read_job(job, start, workplace)
        except JobElsewhere:
            _log.info("job is in other hands")
            raise Ignore from None
        except JobCancelled:
            outcome = Outcome(job_id=job.id, state="cancelled")
        except OcrQueueError as error:
            if error.retryable and start.retries < self.settings.retry_limit:
                self._try_again(job, start, error)
            outcome = _failed(job.id, error)
        except SoftTimeLimitExceeded:
            outcome = _failed(job.id, EngineTimeout(f"Not finished after {time_limits(self.settings, job).soft_s} s."))
        except MemoryError:
            # let through, it would end the worker's main process and requeue the job (celery's own handling)
            outcome = _failed(job.id, EngineOutOfMemory())
        except Exception as error:
            _log.exception("job met an unexpected error")
            outcome = _failed(job.id, InternalError(f"Unexpected {type(error).__name__}."))
        return self._end(job, outcome, start)

    def _try_again(self, job: Job, start: Start, error: OcrQueueError) -> None:
        """Release the job, to be tried again after exponential backoff with full jitter above half.

        The pause is kept in Redis, not in this worker, which may be gone by then. Raises Ignore: this delivery is done.
        """
        longest = min(self.settings.retry_backoff_max_s, self.settings.retry_backoff_s * 2**start.retries)
        pause_s = longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
        holder, wanted = Holder(self._node(), start.number), self._wants_summary()
        done = self._persistently(job, lambda: self.registry.release(job, error.info, holder, wanted, pause_s))
        _log.warning("job failed for now", error=error.code, attempt=start.number, pause_s=round(pause_s, 2), job=done)
        if done != "ended":
            raise Ignore

    def _end(self, job: Job, outcome: Outcome, start: Start | None = None) -> dict[str, object]:
        """Close the record, remove what a job without a result left in storage, reply; raise if it failed.

        An attempt (`start`) that failed leaves a job alone that a newer attempt has. Raises Ignore then, and JobFailed.
        """
        holder = Holder(self._node(), start.number) if start and outcome.state == "failed" else None
        stands = self._persistently(job, lambda: self.registry.finish(job, outcome, holder))
        if stands == "elsewhere":
            _log.info("job is in other hands", error=outcome.error.code if outcome.error else None)
            raise Ignore
        if stands != outcome.state:
            _log.info("job had ended before", state=stands)
            return self._repeat(job)
        if outcome.result is None:
            remove_leftovers(open_storage(self.settings), job.id, None)
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

    def _repeat(self, job: Job) -> dict[str, object]:
        """The answer of a job that has ended, for a delivery that came after."""
        status = self._persistently(job, lambda: self.registry.status(job.id))
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

    def _answer(self, job: Job, outcome: Outcome) -> dict[str, object]:
        """Raises JobFailed, but only where an AsyncResult may wait for it: Celery makes a copy of its traceback, with
        all its frames' code a third of a megabyte."""
        self._reply(job, outcome)
        if outcome.state == "failed" and outcome.error is not None and self._wants_summary():
            raise JobFailed(str(error_from_info(outcome.error)))
        return outcome.to_message()

    def _reply(self, job: Job, outcome: Outcome) -> None:
        if job.reply_to:
            self.app.send_task(
                FINISHED_TASK, kwargs={"summary": outcome.to_message()}, queue=job.reply_to, ignore_result=True
            )

    def _persistently(self, job: Job, call: Callable[[], Answer]) -> Answer:
        """`call`, which tells Redis of the job, however long Redis is away within the hard time limit.

        Raises Ignore if it stays away: the reconciler will find the job by its record.
        """
        try:
            return persistently(call, self.settings.hard_time_limit_s.of(job.engine))
        except BrokerUnavailable as error:
            _log.error("gives up on Redis; the job is left to the reconciler", error=error.code)
            raise Ignore from None

    def _node(self) -> str:
        return self.request.hostname or ""

    def _wants_summary(self) -> bool:
        """Whether somebody may hold an AsyncResult: so for jobs that were sent by name."""
        return not self.request.ignore_result

    def close_killed(self, job: Job, worker: str, error: OcrQueueError) -> None:
        """Close the record of a job whose child was killed for good; in the worker's main process."""
        outcome = _failed(job.id, error)
        try:
            if self.registry.finish(job, outcome, Holder(worker)) == outcome.state:
                self._reply(job, outcome)
        except OcrQueueError as unavailable:
            _log.warning("cannot close the record", job_id=job.id, error=unavailable.code)


def _failed(job_id: str, error: OcrQueueError) -> Outcome:
    return Outcome(job_id=job_id, state="failed", error=error.info)
