"""The task `ocrqueue.recognize`: deliveries, cancel, retries and errors at the edge; the work is in `pipeline`."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterable
from typing import Any, Final

import structlog
from celery import Task
from celery.exceptions import SoftTimeLimitExceeded

from ocrqueue.errors import (
    EngineOutOfMemory,
    EngineTimeout,
    InternalError,
    JobCancelled,
    JobMalformed,
    JobPoison,
    OcrQueueError,
    StorageDenied,
    StorageUnavailable,
    error_from_info,
)
from ocrqueue.job import JOB_ID, Job, engine_queues, parse_job
from ocrqueue.messages import TASK
from ocrqueue.registry import Outcome, Registry, Start
from ocrqueue.settings import Settings
from ocrqueue.storage import open_storage
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.engines.loading import engine_names, make_engine
from ocrqueue_worker.job_request import JobRequest, unreadable_job
from ocrqueue_worker.pipeline import Workplace, read_job

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

    def run(self, job: object = None, **unexpected: object) -> dict[str, object]:
        """Returns the summary. Raises JobFailed."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job_id=self.request.id)
        if not re.fullmatch(JOB_ID, self.request.id):
            # no key in Redis or storage may be made of it, so there is no record either
            raise JobFailed(str(JobMalformed("The Celery task id is no job id: letters, digits, - and _, 64 at most.")))
        try:
            parsed = parse_job({**job, **unexpected} if isinstance(job, dict) else job, self.request.id)
        except OcrQueueError as error:
            return self._end(unreadable_job(self.request.id), _failed(self.request.id, error))
        structlog.contextvars.bind_contextvars(job_id=parsed.id, engine=parsed.engine)
        start = self.registry.begin(parsed, self.request.hostname or "")
        match start.verdict:
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
        except JobCancelled:
            outcome = Outcome(job_id=job.id, state="cancelled")
        except OcrQueueError as error:
            if error.retryable and start.number <= self.settings.retry_limit:
                self._try_again(job, start, error)
            outcome = _failed(job.id, error)
        except SoftTimeLimitExceeded:
            outcome = _failed(
                job.id, EngineTimeout(f"Not finished after {self.settings.soft_time_limit_s.of(job.engine)} s.")
            )
        except MemoryError:
            # let through, it would end the worker's main process and requeue the job (celery's own handling)
            outcome = _failed(job.id, EngineOutOfMemory())
        except Exception as error:
            _log.exception("job met an unexpected error")
            outcome = _failed(job.id, InternalError(f"Unexpected {type(error).__name__}."))
        return self._end(job, outcome)

    def _try_again(self, job: Job, start: Start, error: OcrQueueError) -> None:
        """Release the job and raise Celery's Retry: exponential backoff with full jitter above half."""
        longest = min(self.settings.retry_backoff_max_s, self.settings.retry_backoff_s * 2 ** (start.number - 1))
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
        if self.registry.release(job.id, error.info):
            _log.warning("job will be tried again", error=error.code, attempt=start.number, pause_s=round(pause, 2))
            raise self.retry(countdown=pause, exc=JobFailed(str(error)), ignore_result=self.request.ignore_result)

    def _end(self, job: Job, outcome: Outcome) -> dict[str, object]:
        """Close the record, remove what a job without a result left in storage, reply; raise if it failed."""
        stands = self.registry.finish(job, outcome)
        if stands != outcome.state:
            _log.info("job had ended before", state=stands)
            return self._repeat(job)
        if outcome.result is None:
            self._remove_leftovers(job)
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
        status = self.registry.status(job.id)
        outcome = Outcome.model_validate(
            {**status.model_dump(), "job_id": job.id, "pages": status.pages or 0, "words": status.words or 0}
        )
        return self._answer(job, outcome)

    def _answer(self, job: Job, outcome: Outcome) -> dict[str, object]:
        self._reply(job, outcome)
        if outcome.state == "failed" and outcome.error is not None:
            raise JobFailed(str(error_from_info(outcome.error)))
        return outcome.to_message()

    def _reply(self, job: Job, outcome: Outcome) -> None:
        if job.reply_to:
            self.app.send_task(
                FINISHED_TASK, kwargs={"summary": outcome.to_message()}, queue=job.reply_to, ignore_result=True
            )

    def _remove_leftovers(self, job: Job) -> None:
        try:
            open_storage(self.settings).delete_prefix(f"results/{job.id}/")
        except (StorageUnavailable, StorageDenied) as error:
            _log.warning("leftovers stay in storage", error=error.code)

    def close_killed(self, job: Job, error: OcrQueueError) -> None:
        """Close the record of a job whose child was killed for good; in the worker's main process."""
        outcome = _failed(job.id, error)
        try:
            if self.registry.finish(job, outcome) == outcome.state:
                self._reply(job, outcome)
        except OcrQueueError as unavailable:
            _log.warning("cannot close the record", job_id=job.id, error=unavailable.code)


def _failed(job_id: str, error: OcrQueueError) -> Outcome:
    return Outcome(job_id=job_id, state="failed", error=error.info)
