"""A delivered job, or group of jobs, as the worker's main process sees it: time limits, and the end of a lost child."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from ocrqueue.errors import BrokerUnavailable, EngineOutOfMemory, EngineTimeout, OcrQueueError
from ocrqueue.job import JOB_ID, Job, parse_job
from ocrqueue.settings import process_settings
from ocrqueue_worker.limits.time_limits import group_time_limits
from ocrqueue_worker.task.jobs_in_hand import running_jobs

_log = structlog.get_logger(__name__)


class JobRequest(Request):  # type: ignore[misc]  # celery has no types
    """The limits are those of the job and its engine; a message's own `timelimit` header does not count."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.jobs = self._read_jobs()
        limits = group_time_limits(process_settings(), self.jobs)
        self.time_limits = (limits.hard_s, limits.soft_s)

    def _read_jobs(self) -> Sequence[Job]:
        """What the message asks for; where it cannot be read, what stands in its record; none if it can have none."""
        if not re.fullmatch(JOB_ID, self.id):
            return ()
        if jobs := self.kwargs.get("jobs"):
            return tuple(readable_job(job, job["id"]) for job in jobs)
        return (readable_job(self.kwargs.get("job"), self.id),)

    def _own_jobs(self) -> list[Job]:
        """Less those of a group that are being read by themselves meanwhile."""
        at_work = running_jobs()
        return [job for job in self.jobs if at_work.get(job.id, self) is self]

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        if not soft:
            self.task.close_killed(self._own_jobs(), self.hostname, EngineTimeout(f"Killed after {timeout} s."))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        cause = _cause(exc_info.exception)
        if isinstance(cause, MemoryError):
            # from Celery's part in the child, where the task could not catch it; Celery would end this process over it
            exc_info = _out_of_memory()
            self.task.close_killed(self._own_jobs(), self.hostname, EngineOutOfMemory())
        if isinstance(cause, WorkerLostError | SystemExit):
            # Celery puts the message back at once; without this its delivery would be one of a job that runs here
            try:
                for job in self._own_jobs():
                    self.task.registry.abandon(job.id, self.hostname)
            except BrokerUnavailable as error:
                _log.warning("cannot say that a child is lost", task_id=self.id, error=error.code)
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
