"""Dead letters: jobs that failed for a reason that may pass, kept to be looked at and replayed."""

from __future__ import annotations

from typing import cast

from ocrqueue.core.connection import broker_errors
from ocrqueue.core.job_filter import check_limit
from ocrqueue.core.records import JobStatus
from ocrqueue.core.registry import Registry
from ocrqueue.errors import JobNotFailed, JobUnknown


class DeadLetters:
    """Poison, engine failures, and jobs whose retries ran out. Not those whose image or options are at fault."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def ids(self, limit: int = 1000) -> list[str]:
        """The newest first. Raises FilterInvalid."""
        check_limit(limit)
        with broker_errors():
            found = cast("list[bytes]", self.registry.client.zrange(self.registry.keys.dead(), 0, limit - 1, desc=True))
        return [job_id.decode() for job_id in found]

    def list(self, limit: int = 1000) -> list[JobStatus]:
        """The newest first; those whose record has expired are forgotten."""
        ids = self.ids(limit)
        statuses = list(self.registry.statuses(ids))
        for job_id, status in zip(ids, statuses, strict=True):
            if status is None:
                self._forget(job_id)
        return [status for status in statuses if status is not None]

    def get(self, job_id: str) -> JobStatus:
        """Raises JobUnknown where it is no dead letter."""
        with broker_errors():
            listed = self.registry.client.zscore(self.registry.keys.dead(), job_id) is not None
        if not listed:
            raise JobUnknown(f"No dead letter {job_id}.", remedy="`ocrqueue dead list` shows them.")
        return self.registry.status(job_id)

    def replay(self, job_id: str) -> None:
        """Queue a job that failed again, a dead letter or not, under its id; its history tells how it ended before.

        Raises JobUnknown, JobEnded, JobNotFailed.
        """
        status = self.registry.status(job_id)
        (job,) = self.registry.jobs([job_id])
        if job is None or not self.registry.run("replay", self.registry.arguments.replay([job]))[0]:
            raise JobNotFailed(f"Job {job_id} is {status.state}.")

    def drop(self, job_id: str) -> bool:
        """Take the dead letter off the list; its record stays for as long as it was to be kept.

        False where it was not on it: it was dropped before, or is no dead letter. Raises JobUnknown, JobEnded.
        """
        if self._forget(job_id):
            return True
        self.registry.status(job_id)
        return False

    def _forget(self, job_id: str) -> bool:
        with broker_errors():
            return bool(self.registry.client.zrem(self.registry.keys.dead(), job_id))
