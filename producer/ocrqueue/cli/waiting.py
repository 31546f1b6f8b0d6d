"""Waiting for jobs, so that whoever stops waiting knows which are left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ocrqueue.cli.output import say
from ocrqueue.client import OcrQueue, registry_of
from ocrqueue.core import JobStatus, QueueInfo
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
        if isinstance(stop, JobWaitTimeout):
            statuses = [status for status in registry_of(queue).statuses(left) if status is not None]
            if on_end is not None:
                for status in statuses:
                    on_end(status)
            if unattended := _unattended(queue, statuses):
                remedy = f"{'; '.join(unattended)}."
                stop.info = stop.info.model_copy(update={"remedy": remedy[0].upper() + remedy[1:]})
        raise
    return ended


def _unattended(queue: OcrQueue, statuses: Sequence[JobStatus]) -> list[str]:
    """What there is to do where jobs wait for workers that are not there."""
    waited_for = {status.queue for status in statuses if status.state == "queued"}
    lanes = [lane for lane in queue.queues() if lane.name in waited_for] if waited_for else []
    return [no_worker_for(lane) for lane in lanes if not lane.workers and not lane.paused]


def no_worker_for(lane: QueueInfo) -> str:
    """Said of a lane in which jobs wait."""
    return f"no worker takes from {lane.name}; start one: ocrqueue-worker --engine {lane.engine}"


def set_aside_text(messages: int) -> str:
    """Of messages by name that Redis did not take in."""
    return "1 message by name was set aside" if messages == 1 else f"{messages:,} messages by name were set aside"
