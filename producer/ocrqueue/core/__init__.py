"""The memory of all jobs in Redis: where each part is, and every move that it makes. Nothing else writes to it.

`keys` describes every key, `scripts` has one file a move; Registry is for apps, WorkerRegistry for workers.
"""

from ocrqueue.core.installation import QueueInfo, known_engines, live_workers, queues
from ocrqueue.core.records import FINAL_STATES, EngineOffer, JobStatus, Outcome, State, Trouble, WorkerInfo
from ocrqueue.core.registry import Registry
from ocrqueue.core.script_arguments import Hold, Used
from ocrqueue.core.worker_registry import PartEnd, Start, Taken, TakenPart, WorkerRegistry

__all__ = [
    "FINAL_STATES",
    "EngineOffer",
    "Hold",
    "JobStatus",
    "Outcome",
    "PartEnd",
    "QueueInfo",
    "Registry",
    "Start",
    "State",
    "Taken",
    "TakenPart",
    "Trouble",
    "Used",
    "WorkerInfo",
    "WorkerRegistry",
    "known_engines",
    "live_workers",
    "queues",
]
