"""What Redis holds of jobs: records and their states, queues, counts, dead letters; and the reconciler of lost jobs.

`Registry` is the way in, `scripts` change records in one step each, and `keys` describes every key.
"""

from ocrqueue.core.installation import QueueInfo, known_engines, live_workers, queues
from ocrqueue.core.records import FINAL_STATES, EngineOffer, JobStatus, Outcome, State, WorkerInfo
from ocrqueue.core.registry import Published, Registry, Start, StoredJob
from ocrqueue.core.script_arguments import Holder

__all__ = [
    "FINAL_STATES",
    "EngineOffer",
    "Holder",
    "JobStatus",
    "Outcome",
    "Published",
    "QueueInfo",
    "Registry",
    "Start",
    "State",
    "StoredJob",
    "WorkerInfo",
    "known_engines",
    "live_workers",
    "queues",
]
