"""A delivered job as the worker's main process sees it: its time limits, and its end where the child cannot tell."""

from __future__ import annotations

from celery.worker.request import Request

from ocrqueue.errors import EngineTimeout, OcrQueueError
from ocrqueue.job import Job, parse_job
from ocrqueue.settings import process_settings


class JobRequest(Request):  # type: ignore[misc]  # celery has no types
    """The limits are those of the job's engine; a message's own `timelimit` header, which anyone can set, is not."""

    @property
    def time_limits(self) -> tuple[float, float]:
        """Hard and soft, in seconds."""
        settings = process_settings()
        engine = self.job.engine
        return settings.hard_time_limit_s.of(engine), settings.soft_time_limit_s.of(engine)

    @property
    def job(self) -> Job:
        """What the message asks for; where it cannot be read, what stands in its record."""
        try:
            return parse_job(self.kwargs.get("job"), self.id)
        except OcrQueueError:
            return unreadable_job(self.id)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        if not soft:
            self.task.close_killed(self.job, EngineTimeout(f"Killed after {timeout} s."))


def unreadable_job(task_id: str) -> Job:
    """What stands in the record of a message that holds no readable job."""
    return Job(id=task_id, image="unreadable:")
