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

_JUDGED: Final = 1000
"""Jobs looked at in one round, those silent for longest: a long queue costs no more than a short one."""
_SEARCHED: Final = 2000
"""Messages of one queue that are searched for a job, those next to be taken."""


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
    """Raises BrokerUnavailable, and with a storage what that raises."""

    def __init__(self, registry: Registry, storage: Storage | None) -> None:
        """Without a storage, a job whose result is stored is requeued too; its next worker finds the result."""
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

    def run_in_turn(self) -> Reconciliation:
        """One round, unless another reconciler had one within the last `reconcile_interval_s`."""
        with broker_errors():
            turn = self.registry.client.set(
                self.registry.keys.reconciling(), 1, nx=True, px=int(self.registry.settings.reconcile_interval_s * 1000)
            )
        return self.run() if turn else Reconciliation()

    def _silent(self, index: str, seconds: float) -> list[Job]:
        """The jobs in `index` silent for so long, at most _JUDGED; entries without a record are removed."""
        client = self.registry.client
        with broker_errors():
            now_s, _ = client.time()
            before = (now_s - seconds) * 1000
            found = cast("list[bytes]", client.zrangebyscore(index, "-inf", before, start=0, num=_JUDGED))
        ids = [job_id.decode() for job_id in found]
        jobs = self.registry.jobs(ids)
        gone = [job_id for job_id, job in zip(ids, jobs, strict=True) if job is None]
        if gone:
            with broker_errors():
                client.zrem(index, *gone)
        return [job for job in jobs if job is not None]

    def _close(self, job: Job) -> bool:
        """End a job whose result.json is in storage; where it is, the job is complete."""
        if self.storage is None:
            return False
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
            if not here:
                continue
            found, reach = self._ids_in_queue(queue)
            for job in here:
                # what was queued after the last message searched may stand behind it
                if job.id not in found and self._queued_at(job.id) <= reach:
                    yield job

    def _queued_at(self, job_id: str) -> float:
        """Milliseconds since 1970; infinite for a job that does not wait."""
        with broker_errors():
            score = self.registry.client.zscore(self.registry.keys.queued(), job_id)
        return float("inf") if score is None else score

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

    def _ids_in_queue(self, queue: str) -> tuple[set[str], float]:
        """The ids of the messages next to be taken, and up to what time of queueing they are all."""
        with broker_errors():
            messages = cast("list[bytes]", self.registry.client.lrange(self.registry.keys.queue(queue), -_SEARCHED, -1))
        ids = [str(job_in_message(message).get("id")) for message in messages]
        if len(messages) < _SEARCHED:
            return set(ids), float("inf")
        reach = self._queued_at(ids[0])
        return set(ids), 0.0 if reach == float("inf") else reach
