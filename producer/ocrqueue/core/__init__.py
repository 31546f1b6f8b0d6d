"""The job record in Redis: state, progress, attempts. `keys` describes every key."""

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
