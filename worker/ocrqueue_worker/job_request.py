"""A delivered job as the worker's main process sees it: its time limits, and its end where the child cannot tell."""

from __future__ import annotations

import re
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from ocrqueue.errors import BrokerUnavailable, EngineOutOfMemory, EngineTimeout, OcrQueueError
from ocrqueue.job import JOB_ID, Job, parse_job
from ocrqueue.settings import process_settings
from ocrqueue_worker.time_limits import time_limits

_log = structlog.get_logger(__name__)


class JobRequest(Request):  # type: ignore[misc]  # celery has no types
    """The limits are those of the job and its engine; a message's own `timelimit` header does not count."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.job = self._read_job()
        limits = time_limits(process_settings(), self.job)
        self.time_limits = (limits.hard_s, limits.soft_s)

    def _read_job(self) -> Job | None:
        """What the message asks for; where it cannot be read, what stands in its record; None if it can have none."""
        return readable_job(self.kwargs.get("job"), self.id) if re.fullmatch(JOB_ID, self.id) else None

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        if not soft and self.job:
            self.task.close_killed(self.job, self.hostname, EngineTimeout(f"Killed after {timeout} s."))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        cause = _cause(exc_info.exception)
        if isinstance(cause, MemoryError):
            # from Celery's part in the child, where the task could not catch it; Celery would end this process over it
            exc_info = _out_of_memory()
            if self.job:
                self.task.close_killed(self.job, self.hostname, EngineOutOfMemory())
        if isinstance(cause, WorkerLostError | SystemExit) and self.job:
            # Celery puts the message back at once; without this its delivery would be one of a job that runs here
            try:
                self.task.registry.abandon(self.job.id, self.hostname)
            except BrokerUnavailable as error:
                _log.warning("cannot say that a child is lost", job_id=self.job.id, error=error.code)
        return super().on_failure(exc_info, send_failed_event, return_ok)


def _cause(error: object) -> object:
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _out_of_memory() -> ExceptionInfo:
    try:
        raise EngineOutOfMemory
    except EngineOutOfMemory:
        return ExceptionInfo()


def readable_job(message: object, task_id: str) -> Job:
    """The job in a message; where it cannot be read, what stands in its record. The id must be one of a job."""
    try:
        return parse_job(message, task_id)
    except OcrQueueError:
        return Job(id=task_id, image="unreadable:")
