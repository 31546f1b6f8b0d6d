"""The reconciler: finds jobs that nobody works on and nobody will, and publishes them again.

Redis's transport can lose a message (a worker dies between taking it and noting it; a restart loses what was not yet
on disk), and a killed worker leaves its jobs to the visibility timeout. The records tell: a running job gives a sign
of life every few seconds, and a waiting one has its message in a queue or in a worker's hands.

Publishing a job again that was not lost does no harm: it ends once, and the second delivery finds it ended. Several
reconcilers at once do none either: each job is judged and published in one step of Redis.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, cast

from ocrqueue.document import Document
from ocrqueue.errors import StorageNotFound
from ocrqueue.job import Job
from ocrqueue.messages import job_in_message
from ocrqueue.registry import scripts
from ocrqueue.registry.connection import broker_errors
from ocrqueue.registry.records import Outcome
from ocrqueue.registry.registry import Registry
from ocrqueue.storage import Storage

_CHUNK: Final = 1000
_SEARCHED: Final = 20_000
"""Messages of one queue that are searched for a job; in a longer queue the order tells."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What one round did: ids of jobs."""

    closed: tuple[str, ...] = ()
    """Their result was stored, and only the record had not been told."""
    requeued: tuple[str, ...] = ()
    """Their worker was lost."""
    republished: tuple[str, ...] = ()
    """Their message was lost."""


class Reconciler:
    """Raises BrokerUnavailable; a storage that does not answer only means that nothing is closed."""

    def __init__(self, registry: Registry, storage: Storage) -> None:
        self.registry = registry
        self.storage = storage
        self._republish = registry.client.register_script(scripts.REPUBLISH)

    def run(self) -> Reconciliation:
        """One round over all jobs that are due."""
        settings = self.registry.settings
        closed, requeued = [], []
        for job in self._silent(self.registry.keys.running(), settings.lost_after_s):
            if self._close(job):
                closed.append(job.id)
            elif self._publish(job, settings.lost_after_s):
                requeued.append(job.id)
        waiting = self._silent(self.registry.keys.queued(), settings.unqueued_after_s)
        republished = [
            job.id for job in self._without_message(waiting) if self._publish(job, settings.unqueued_after_s)
        ]
        return Reconciliation(tuple(closed), tuple(requeued), tuple(republished))

    def _silent(self, index: str, seconds: float) -> list[Job]:
        """The jobs in `index` with no sign of life for so long; entries without a record are removed."""
        client = self.registry.client
        with broker_errors():
            now_s, _ = client.time()
            ids = cast("list[bytes]", client.zrangebyscore(index, "-inf", (now_s - seconds) * 1000))
        jobs = []
        for job_id in (found.decode() for found in ids):
            job = self.registry.job(job_id)
            if job is None:
                with broker_errors():
                    client.zrem(index, job_id)
            else:
                jobs.append(job)
        return jobs

    def _close(self, job: Job) -> bool:
        """End a job whose result.json is in storage; where it is, the job is complete."""
        key = f"results/{job.id}/result.json"
        try:
            document = Document.model_validate_json(self.storage.get(key))
        except StorageNotFound:
            return False
        return self.registry.finish(job, Outcome.of(document, self.storage.uri(key))) == document.status

    def _publish(self, job: Job, silent_s: float) -> bool:
        keys, args = self.registry.calls.republish(job, silent_s)
        with broker_errors():
            return bool(self._republish(keys=keys, args=args))

    def _without_message(self, waiting: list[Job]) -> Iterator[Job]:
        """Those of the jobs that are neither in their queue nor in a worker's hands."""
        if not waiting:
            return
        in_hand = set(self._ids_in_hand())
        for queue in sorted({job.queue for job in waiting}):
            here = [job for job in waiting if job.queue == queue and job.id not in in_hand]
            found, oldest_kept = self._ids_in_queue(queue) if here else (set(), None)
            for job in here:
                if job.id in found:
                    continue
                # beyond the messages searched, only what is older than the oldest of the queue is surely not in it
                if oldest_kept is None or job.submitted_at.isoformat() < oldest_kept:
                    yield job

    def _ids_in_hand(self) -> Iterator[str]:
        with broker_errors():
            held = cast("Iterable[bytes]", self.registry.client.hvals(self.registry.keys.unacknowledged()))
        for entry in held:
            try:
                message = json.loads(entry)[0]
            except (ValueError, IndexError, KeyError, TypeError):
                continue
            job_id = job_in_message(json.dumps(message)).get("id")
            if isinstance(job_id, str):
                yield job_id

    def _ids_in_queue(self, queue: str) -> tuple[set[str], str | None]:
        """The ids of the messages next to be taken, and, if there are more, when the oldest of all was submitted."""
        key, found = self.registry.keys.queue(queue), set()
        oldest: str | None = None
        for start in range(0, _SEARCHED, _CHUNK):
            with broker_errors():
                chunk = cast("list[bytes]", self.registry.client.lrange(key, -start - _CHUNK, -start - 1))
            jobs = [job_in_message(message) for message in chunk]
            found |= {str(job.get("id")) for job in jobs}
            oldest = oldest or (str(jobs[-1].get("submitted_at")) if jobs else None)
            if len(chunk) < _CHUNK:
                return found, None
        return found, oldest
