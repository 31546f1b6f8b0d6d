"""How far ahead in its queue a job is, and how long it should wait there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.rates import jobs_per_second, parse_counts
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.side_lanes import lane_of
from ocrqueue.core.steps import Commands, Steps
from ocrqueue.job import engine_queues

_MOST_TENANTS: Final = 100


class QueuePlace(BaseModel):
    """Of a job that waits, at one moment."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    ahead: int
    """Jobs that should be taken before it: its tenant's own, as many of each other tenant, and those of higher lanes.
    Weights of tenants are not counted in."""
    wait_s: float | None = None
    """Seconds until it should be taken, at the rate of the last minutes; None: none of its engine's jobs has ended."""


def queue_place(arguments: ScriptArguments, job_id: str) -> Steps[QueuePlace | None]:
    """None where it does not wait in a queue."""
    keys = arguments.keys
    (fields,) = yield Commands([("HMGET", keys.record(job_id), "place", "lane", "tenant")])
    place, lane, tenant = (None if field is None else field.decode(errors="replace") for field in fields)
    if place != "waiting" or lane is None:
        return None
    tenant = tenant or ""
    engine = lane_of(lane).split(".")[1]
    lanes = engine_queues(engine)
    higher = lanes[: lanes.index(lane_of(lane))]
    rank, others, now, ended, *waiting = yield Commands(
        [
            ("ZRANK", keys.queue(lane, tenant), job_id),
            ("ZRANGE", keys.lane(lane), 0, _MOST_TENANTS),
            ("TIME",),
            ("HGETALL", keys.ended(engine)),
            *(("HGET", keys.waiting(), name) for name in higher),
        ]
    )
    if rank is None:
        return None
    names = [name.decode(errors="replace") for name in others if name != tenant.encode()]
    lengths = (yield Commands([("ZCARD", keys.queue(lane, name)) for name in names])) if names else []
    ahead = rank + sum(min(length, rank + 1) for length in lengths) + sum(max(0, int(count or 0)) for count in waiting)
    rate = _rate(ended, now)
    return QueuePlace(ahead=ahead, wait_s=None if not rate else ahead / rate)


def _rate(ended: Mapping[bytes, bytes], now: tuple[int, int]) -> float | None:
    return jobs_per_second(parse_counts(ended), now[0] + now[1] / 1e6)
