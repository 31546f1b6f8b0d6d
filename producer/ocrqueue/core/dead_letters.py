"""Dead letters: jobs that failed for a reason that may pass, kept to be looked at and replayed."""

from __future__ import annotations

from typing import cast

from ocrqueue.core.connection import broker_errors
from ocrqueue.core.job_filter import check_limit
from ocrqueue.core.records import FINAL_STATES, JobStatus, State
from ocrqueue.core.registry import Registry
from ocrqueue.errors import JobNotFailed


class DeadLetters:
    """Poison, engine failures, and jobs whose retries ran out, but not jobs whose image or options are at fault."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def ids(self, limit: int = 1000) -> list[str]:
        """The newest first. Raises FilterInvalid."""
        check_limit(limit)
        with broker_errors():
            found = cast("list[bytes]", self.registry.client.zrange(self.registry.keys.dead(), 0, limit - 1, desc=True))
        return [job_id.decode() for job_id in found]

    def list(self, limit: int = 1000) -> list[JobStatus]:
        """The dead letters, the newest first, without those whose records have expired."""
        ids = self.ids(limit)
        statuses = list(self.registry.statuses(ids))
        for job_id, status in zip(ids, statuses, strict=True):
            if status is None:
                self._forget(job_id)
        return [status for status in statuses if status is not None]

    def get(self, job_id: str) -> JobStatus:
        """A failed job, whether a dead letter or not. Raises JobUnknown, JobEnded, JobNotFailed."""
        status = self.registry.status(job_id)
        if status.state != "failed":
            raise not_failed(job_id, status.state)
        return status

    def __contains__(self, job_id: str) -> bool:
        """Whether it is one of them."""
        with broker_errors():
            return self.registry.client.zscore(self.registry.keys.dead(), job_id) is not None

    def replay(self, job_id: str) -> None:
        """Queue a failed job again under its id, whether a dead letter or not. Its history says how it ended before.

        Raises JobUnknown, JobEnded, JobNotFailed.
        """
        status = self.registry.status(job_id)
        (job,) = self.registry.jobs([job_id])
        if job is None or not self.registry.run("replay", self.registry.arguments.replay([job]))[0]:
            raise not_failed(job_id, status.state)

    def drop(self, job_id: str) -> bool:
        """Take the dead letter off the list. Its record is kept for its usual time.

        False if it was not on the list: it was dropped before, or is not a dead letter. Raises JobUnknown, JobEnded.
        """
        if self._forget(job_id):
            return True
        self.registry.status(job_id)
        return False

    def _forget(self, job_id: str) -> bool:
        with broker_errors():
            return bool(self.registry.client.zrem(self.registry.keys.dead(), job_id))


def not_failed(job_id: str, state: State) -> JobNotFailed:
    """The error for a job in another state."""
    if state in FINAL_STATES:
        has_result = " It has a result, without the pages that could not be read." if state == "partial" else ""
        return JobNotFailed(
            f"Job {job_id} is {state}, and has not failed.{has_result}",
            remedy="Submit its image again, as a new job; with cache=False, or --no-cache, it is read again.",
        )
    return JobNotFailed(f"Job {job_id} is {state}.", remedy="Wait until it has ended, or cancel it.")
