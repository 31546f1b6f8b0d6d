"""Which engines a job goes to: checked, and chosen for `auto`, when it is submitted or a worker meets it first.

`make_route` decides, over values; `read_engines` fetches them from Redis; `Router` does both for a client's jobs.
"""

from ocrqueue.routing.engine_status import EnginesNow, EngineStatus, engine_statuses, read_engines
from ocrqueue.routing.languages import check_languages
from ocrqueue.routing.policy import make_route
from ocrqueue.routing.router import Router

__all__ = [
    "EngineStatus",
    "EnginesNow",
    "Router",
    "check_languages",
    "engine_statuses",
    "make_route",
    "read_engines",
]
