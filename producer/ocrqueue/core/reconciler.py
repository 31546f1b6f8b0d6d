"""The reconciler: finds jobs that nobody works on and nobody will, and publishes them again.

Redis's transport can lose a message (a worker dies between taking it and noting it; a restart loses what was not yet
on disk), and a killed worker leaves its jobs to the visibility timeout. The records tell: a job in a worker's hands,
running or about to, is given a sign of life every few seconds, and any other that waits has its message in a queue.

Publishing a job again that was not lost does no harm: a delivery of what runs elsewhere or has ended is dropped.
Several reconcilers at once do none either: each job is judged and published in one step of Redis.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from ocrqueue.core.celery_messages import jobs_in_message
from ocrqueue.core.connection import broker_errors
from ocrqueue.core.records import Outcome
from ocrqueue.core.registry import Registry, StoredJob
from ocrqueue.core.scripts import load_script
from ocrqueue.document import Document
from ocrqueue.errors import BrokerUnavailable, StorageNotFound
from ocrqueue.storage import Storage

_JUDGED: Final = 1000
"""Jobs looked at in one round, those silent for longest: a long queue costs no more than a short one."""
_LATE: Final = 0.25
"""Share of `lost_after_s` that a turn may come late: signs of life come twice in it, and none is missed so far."""
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

    def __init__(self, registry: Registry, storage: Storage | None, turn_every_s: float | None = None) -> None:
        """Without a storage, a job whose result is stored is requeued too; its next worker finds the result.

        `turn_every_s`: the pause between two calls of run_in_turn(), if it is called regularly.
        """
        self.registry = registry
        self.storage = storage
        self._turn_every_s = turn_every_s
        self._called_at: float | None = None
        self._in_touch_since = time.monotonic()
        self._republish = registry.client.register_script(load_script("republish"))

    def run(self) -> Reconciliation:
        """One round over all jobs that are due."""
        settings = self.registry.settings
        self.registry.publish_due()
        closed, requeued = [], []
        for stored in self._silent(self.registry.keys.running(), settings.lost_after_s):
            if self._close(stored):
                closed.append(stored.job.id)
            elif self._publish(stored, settings.lost_after_s):
                requeued.append(stored.job.id)
        waiting = self._silent(self.registry.keys.queued(), settings.unqueued_after_s)
        republished = [
            stored.job.id
            for stored in self._without_message(waiting)
            if self._publish(stored, settings.unqueued_after_s)
        ]
        return Reconciliation(tuple(closed), tuple(requeued), tuple(republished))

    def run_in_turn(self) -> Reconciliation:
        """One round, unless another reconciler had one within the last `reconcile_interval_s`.

        None either until this one has been in touch with Redis for `lost_after_s`: after an outage every running job
        looks silent, until its worker is back in touch as well. The turn is another's then. After a standstill of this
        process it is the same: all of its machine may have stood still, and the workers with it.
        """
        settings = self.registry.settings
        if self._stood_still():
            self.lost_touch()
        try:
            with broker_errors():
                if time.monotonic() - self._in_touch_since < settings.lost_after_s:
                    self.registry.client.ping()  # an outage meanwhile is to be noticed
                    return Reconciliation()
                turn = self.registry.client.set(
                    self.registry.keys.reconciling(), 1, nx=True, px=int(settings.reconcile_interval_s * 1000)
                )
            return self.run() if turn else Reconciliation()
        except BrokerUnavailable:
            self.lost_touch()
            raise

    def lost_touch(self) -> None:
        """Redis did not answer to somebody else of this process."""
        self._in_touch_since = time.monotonic()

    def _stood_still(self) -> bool:
        """Whether this call comes so late that healthy jobs may look silent."""
        before, self._called_at = self._called_at, time.monotonic()
        if before is None or self._turn_every_s is None:
            return False
        return self._called_at - before > self._turn_every_s + _LATE * self.registry.settings.lost_after_s

    def _silent(self, index: str, seconds: float) -> list[StoredJob]:
        """The jobs in `index` silent for so long, at most _JUDGED; entries without a record are removed.

        Those silent for longest come last: each is published in front of those before it.
        """
        client = self.registry.client
        with broker_errors():
            now_s, _ = client.time()
            before = (now_s - seconds) * 1000
            found = cast("list[bytes]", client.zrangebyscore(index, "-inf", before, start=0, num=_JUDGED))
        ids = [job_id.decode() for job_id in found]
        jobs = self.registry.stored_jobs(ids)
        gone = [job_id for job_id, job in zip(ids, jobs, strict=True) if job is None]
        if gone:
            with broker_errors():
                client.zrem(index, *gone)
        return [job for job in reversed(jobs) if job is not None]

    def _close(self, stored: StoredJob) -> bool:
        """End a job whose result.json is in storage; where it is, the job is complete.

        Not one whose end is told to others than those who ask: the next worker does both.
        """
        job = stored.job
        if self.storage is None or stored.wants_summary or job.reply_to:
            return False
        key = f"results/{job.id}/result.json"
        try:
            document = Document.model_validate_json(self.storage.get(key))
        except StorageNotFound:
            return False
        return self.registry.finish(job, Outcome.of(document, self.storage.uri(key))) == document.status

    def _publish(self, stored: StoredJob, silent_s: float) -> bool:
        keys, args = self.registry.arguments.republish(stored.job, stored.wants_summary, silent_s)
        with broker_errors():
            return bool(self._republish(keys=keys, args=args))

    def _without_message(self, waiting: list[StoredJob]) -> Iterator[StoredJob]:
        """Those of the jobs that are not in their queue."""
        for queue in sorted({stored.job.queue for stored in waiting}):
            found, reach = self._ids_in_queue(queue)
            for stored in waiting:
                # what was queued after the last message searched may stand behind it
                here = stored.job.queue == queue and stored.job.id not in found
                if here and self._queued_at(stored.job.id) <= reach:
                    yield stored

    def _queued_at(self, job_id: str) -> float:
        """Milliseconds since 1970; infinite for a job that does not wait."""
        with broker_errors():
            score = self.registry.client.zscore(self.registry.keys.queued(), job_id)
        return float("inf") if score is None else score

    def _ids_in_queue(self, queue: str) -> tuple[set[str], float]:
        """The ids in the messages next to be taken, and up to what time of queueing they are all."""
        with broker_errors():
            messages = cast("list[bytes]", self.registry.client.lrange(self.registry.keys.queue(queue), -_SEARCHED, -1))
        ids = [[str(job.get("id")) for job in jobs_in_message(message)] for message in messages]
        found = {job_id for in_message in ids for job_id in in_message}
        if len(messages) < _SEARCHED:
            return found, float("inf")
        # the jobs of a group were queued at the same time, but for one that has ended meanwhile
        times = [self._queued_at(job_id) for job_id in ids[0]]
        return found, min((time_ms for time_ms in times if time_ms != float("inf")), default=0.0)
