"""Waiting for jobs, so that whoever stops waiting knows which are left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ocrqueue.cli.output import say
from ocrqueue.client import OcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.errors import JobWaitTimeout, OcrQueueError
from ocrqueue.waiting.progress import job_progress

_NAMED = 10


def wait_for(
    queue: OcrQueue,
    job_ids: Sequence[str],
    timeout: float | None,
    *,
    on_end: Callable[[JobStatus], None] | None = None,
    progress: bool = True,
) -> dict[str, JobStatus]:
    """The final status of each job; `on_end` gets each as it ends, and out of time the others as they are.

    Names the jobs that are left on stderr if anything ends it before. Raises JobUnknown, JobWaitTimeout,
    BrokerUnavailable, and what `on_end` raises.
    """
    ended: dict[str, JobStatus] = {}
    try:
        with job_progress(len(job_ids), shown=progress) as on_progress:
            for job, status in queue.watch([queue.job(job_id) for job_id in job_ids], timeout, on_progress):
                ended[job.id] = status
                if on_end is not None:
                    on_end(status)
    except (OcrQueueError, OSError, KeyboardInterrupt) as stop:
        left = [job_id for job_id in job_ids if job_id not in ended]
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        say(f"not ended; these jobs go on: {' '.join(left[:_NAMED])}{more}")
        if on_end is not None and isinstance(stop, JobWaitTimeout):
            for status in filter(None, queue.registry.statuses(left)):
                on_end(status)
        raise
    return ended
