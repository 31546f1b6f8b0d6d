"""What this worker's children do now, as its main process knows it."""

from __future__ import annotations

from celery.worker.request import Request
from celery.worker.state import active_requests

from ocrqueue.messages import TASK


def jobs_at_work() -> dict[str, Request]:
    """Job id -> Celery's request, for the jobs that run in a child now."""
    return {_job_id(request): request for request in list(active_requests) if request.name == TASK}


def _job_id(request: Request) -> str:
    job = request.kwargs.get("job")
    job_id = job.get("id") if isinstance(job, dict) else None
    return job_id if isinstance(job_id, str) else str(request.id)
