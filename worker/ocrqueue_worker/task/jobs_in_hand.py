"""Which jobs this worker has, as its main process knows it."""

from __future__ import annotations

from collections.abc import Iterable

from celery.worker.request import Request
from celery.worker.state import active_requests, reserved_requests

from ocrqueue.core.celery_messages import TASK


def running_jobs() -> dict[str, Request]:
    """Job id -> Celery's request, for the jobs that run now; of a group that runs, all."""
    return _by_job_id(active_requests)


def jobs_in_hand() -> dict[str, Request]:
    """The same for those that run and those that were taken from a queue and are about to."""
    return _by_job_id([*reserved_requests, *active_requests])


def _by_job_id(requests: Iterable[Request]) -> dict[str, Request]:
    """A job that came in a group and is being read by itself since has the second request: it comes last here."""
    own = sorted((request for request in list(requests) if request.task.name == TASK), key=_size, reverse=True)
    return {job.id: request for request in own for job in request.jobs}


def _size(request: Request) -> int:
    return len(request.jobs)
