"""Every Redis key of ocrqueue. All begin with the setting `key_prefix` (empty by default).

| key | type | holds | kept |
| --- | --- | --- | --- |
| `ocrqueue:job:<id>` | hash | the job's record, fields below | `queued_ttl_s`, after its end `record_ttl_s` |
| `ocrqueue:queued` | sorted set | id -> when queued, or last seen at a worker: to tell lost ones | until they start |
| `ocrqueue:running` | sorted set | id -> last sign of life: jobs at a worker | until they end |
| `ocrqueue:delayed` | sorted set | id -> when its pause before the next attempt is over | until then |
| `ocrqueue:dead` | sorted set | id -> when it failed: the dead letters | until replayed, dropped or expired |
| `ocrqueue:reconciling` | string | somebody has just looked for lost jobs | `reconcile_interval_s` |
| `ocrqueue:once:<sha256 of idempotency_key>` | string | the id of the job that has this key | `idempotency_ttl_s` |
| `ocrqueue:read:<cache key>` | string | URI of the result.json of an image read before | `cache_ttl_s` |
| `ocrqueue:ended:<engine>` | hash | number of a 10 s period -> jobs that ended in it, for the rate | 5 minutes |
| `ocrqueue:pages:<engine>` | hash | the same for pages that the engine read | 5 minutes |
| `ocrqueue:waits:<engine>` | hash | `<period>:<bucket>` -> jobs by how long they waited: `lately` | 5 minutes |
| `ocrqueue:errors:<engine>` | hash | `<period>:<code>` -> jobs that failed with it | 5 minutes |
| `ocrqueue:bucket:<engine>` | hash | `tokens`: requests that its service may get; `at`: counted when | a day idle |
| `ocrqueue:billed:<engine>` | hash | month such as 2026-02 -> images that the engine's service was given | for good |
| `ocrqueue:admitted:<id>` | string | `<month>:<images>` of one request to the service, to be taken back | 10 minutes |
| `ocrqueue:workers` | hash | worker node name -> JSON of WorkerInfo | pruned when read |
| `ocrqueue:events:<0-f>` | channel | `<id> <state> <pages done>/<pages>` when a job moves on | - |
| `ocr.<engine>`, `.high`, `.low` | list | messages waiting, in Celery's format | until taken |
| `ocrqueue:grouped:<queue>` | hash | id of a group -> its jobs but one; `total`, for the queue's length | until taken |
| `unacked`, `unacked_index`, `_kombu.*` | | Celery's own: messages taken, not acknowledged | until acknowledged |
| `celery-task-meta-<id>` | string | summary of a job submitted by name, Celery's own | `record_ttl_s` |

Fields of a record. Times are milliseconds since 1970 by Redis's own clock, so that no machine's clock counts.

| field | holds | present |
| --- | --- | --- |
| `state` | queued, running, succeeded, partial, failed or cancelled | always |
| `job` | the Job as JSON | always |
| `queued_at` | time of submission | always |
| `started_at` | time of the newest start | once started |
| `finished_at` | time of the end | after the end |
| `queue_wait_ms` | from submission to the first start | once started |
| `worker` | node name of the newest worker | once started |
| `attempts` | starts so far | once started |
| `deliveries` | deliveries since the last orderly end of an attempt: what the cap counts | from start to end |
| `delivery` | a name of the newest delivery's own | while running |
| `progress` | `<pages done>/<pages>` | while running |
| `retries` | attempts that ended with a retryable error | until the end |
| `error` | JSON of the error that the next attempt is for | while waiting for a retry |
| `message`, `lane` | what goes back into which queue when the pause is over | during the pause before a retry |
| `summary` | 1: Celery is to store a summary too; the job was sent by name | always, for such a job |
| `step` | how many engines of the job's route have had their turn | once one has |
| `cancel` | 1: stop at the next step | while running, if asked for |
| `outcome` | JSON of Outcome | after the end |
| `history` | JSON list of the Outcomes before each replay | once replayed |
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Final

EVENT_CHANNELS: Final = 16


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one installation."""

    prefix: str = ""

    def record(self, job_id: str) -> str:
        return f"{self.prefix}ocrqueue:job:{job_id}"

    def queued(self) -> str:
        return f"{self.prefix}ocrqueue:queued"

    def running(self) -> str:
        return f"{self.prefix}ocrqueue:running"

    def delayed(self) -> str:
        return f"{self.prefix}ocrqueue:delayed"

    def reconciling(self) -> str:
        return f"{self.prefix}ocrqueue:reconciling"

    def dead(self) -> str:
        return f"{self.prefix}ocrqueue:dead"

    def once(self, idempotency_key: str) -> str:
        return f"{self.prefix}ocrqueue:once:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"

    def read(self, cache_key: str) -> str:
        return f"{self.prefix}ocrqueue:read:{cache_key}"

    def ended(self, engine: str) -> str:
        return f"{self.prefix}ocrqueue:ended:{engine}"

    def pages(self, engine: str) -> str:
        return f"{self.prefix}ocrqueue:pages:{engine}"

    def waits(self, engine: str) -> str:
        return f"{self.prefix}ocrqueue:waits:{engine}"

    def errors(self, engine: str) -> str:
        return f"{self.prefix}ocrqueue:errors:{engine}"

    def bucket(self, engine: str) -> str:
        return f"{self.prefix}ocrqueue:bucket:{engine}"

    def billed(self, engine: str) -> str:
        return f"{self.prefix}ocrqueue:billed:{engine}"

    def admitted(self, admission: str) -> str:
        return f"{self.prefix}ocrqueue:admitted:{admission}"

    def workers(self) -> str:
        return f"{self.prefix}ocrqueue:workers"

    def events(self, job_id: str) -> str:
        """The channel that tells of this job: a few shared ones, so that nobody subscribes once a job."""
        return f"{self.prefix}ocrqueue:events:{zlib.crc32(job_id.encode()) % EVENT_CHANNELS:x}"

    def grouped(self, queue_name: str) -> str:
        """What a queue's groups hold beyond one job each; `ocrqueue.job.groups` says what a group is."""
        return f"{self.prefix}ocrqueue:grouped:{queue_name}"

    def queue(self, name: str) -> str:
        return f"{self.prefix}{name}"
