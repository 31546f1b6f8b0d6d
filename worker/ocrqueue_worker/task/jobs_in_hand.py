"""Which parts this worker's children work on, as its main process knows it."""

from __future__ import annotations

from celery.worker.request import Request
from celery.worker.state import active_requests

from ocrqueue.core.celery_messages import TASK


def running_requests() -> list[Request]:
    """Celery's requests that a child or thread has begun."""
    return [request for request in list(active_requests) if request.task.name == TASK]
