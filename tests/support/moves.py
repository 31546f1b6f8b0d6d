"""Moves of parts, as workers and apps ask for them; `registry` is in tests/integration/conftest.py."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Final

from ocrqueue.core import Hold, Outcome, Taken, WorkerRegistry
from ocrqueue.core.installation import live_workers
from ocrqueue.core.intake import Prepare, foreign_lists, take_in_foreign
from ocrqueue.core.worker_registry import Reclaimed
from ocrqueue.job import Job

LANE: Final = "ocr.null"
LANES: Final = ("ocr.null.high", "ocr.null", "ocr.null.low")


def job(**fields: object) -> Job:
    return Job.model_validate({"image": "s3://bucket/page.png", "engine": "null", **fields})


def submit(registry: WorkerRegistry, *jobs: Job) -> list[str]:
    return list(registry.submit(jobs))


def take(registry: WorkerRegistry, most: int = 1, holder: str = "holder", *lanes: str) -> Taken:
    return registry.take(uuid.uuid4().hex, holder, [(lane, most) for lane in lanes or LANES])


def hold_of(registry: WorkerRegistry, holder: str = "holder", *lanes: str) -> Hold:
    (part,) = take(registry, 1, holder, *lanes).parts
    return part.hold


def begun(registry: WorkerRegistry, holder: str = "holder") -> Hold:
    """The next part, whose attempt has begun."""
    hold = hold_of(registry, holder)
    assert registry.begin(hold, "worker@host", "null").verdict == "run"
    return hold


def all_parts(registry: WorkerRegistry, most: int = 100) -> list[str]:
    """All that waits, in the order in which it is taken."""
    found: list[str] = []
    while parts := take(registry, most).parts:
        found += [part.hold.part for part in parts]
    return found


def succeeded(hold: Hold) -> Outcome:
    return Outcome(job_id=hold.job_id, state="succeeded", result="file:///result.json", pages=1)


def was_reclaiming(registry: WorkerRegistry) -> None:
    """Somebody has reclaimed a moment ago: no lease is granted anew."""
    seconds, _ = registry.client.time()
    registry.client.hset(f"{registry.keys.root}reclaim", mapping={"last": seconds * 1000, "grace_until": 0})


def end_lease(registry: WorkerRegistry, *holds: Hold) -> None:
    for hold in holds:
        registry.client.zadd(registry.keys.leases(), {hold.part: 1}, xx=True)
    was_reclaiming(registry)


def end_pauses(registry: WorkerRegistry) -> None:
    for part in registry.client.zrange(registry.keys.delayed(), 0, -1):
        registry.client.zadd(registry.keys.delayed(), {part: 1})


def reclaimed(registry: WorkerRegistry) -> Reclaimed:
    """One step of reclaiming that is not the first for long."""
    was_reclaiming(registry)
    return registry.reclaim()


def taken_in(registry: WorkerRegistry, prepare: Prepare) -> Mapping[str, int]:
    """What became of all that foreign apps have sent, in as many rounds as it takes."""
    became: Counter[str] = Counter()
    lists = foreign_lists(live_workers(registry), registry.settings)
    more = True
    while more:
        found = take_in_foreign(registry, prepare, lists)
        became.update(found.became)
        more = found.more
    return dict(became)
