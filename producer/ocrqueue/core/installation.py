"""The installation as a whole: who works, what waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from ocrqueue.core.celery_messages import lists_of
from ocrqueue.core.pauses import Pause, pauses
from ocrqueue.core.rates import jobs_per_second, parse_counts
from ocrqueue.core.records import WorkerInfo
from ocrqueue.core.registry import Registry
from ocrqueue.core.side_lanes import MOST_AT_ONCE, lane_of, side_lanes
from ocrqueue.errors import WorkerUnknown
from ocrqueue.job import queue_name
from ocrqueue.job.names import AUTO, LANES, Priority

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

_MISSED_HEARTBEATS: Final = 4
_MOST_TENANTS: Final = 100


class QueueInfo(BaseModel):
    """One lane of one engine, or a queue of `auto`: foreign apps send there what is to be routed, and no job waits."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str
    engine: str
    lane: Priority
    waiting: int
    """Parts of jobs, mostly one a job, that no worker has taken."""
    tenants: Mapping[str, int] = {}
    """How many of them by tenant, those next in turn first; the first 100 tenants. Then those that are paused."""
    paused: bool = False
    """Whether nothing is taken from it: it is paused, or its engine is."""
    paused_tenants: tuple[str, ...] = ()
    """Those of `tenants` of which nothing is taken."""
    foreign: int = 0
    """Messages of foreign Celery apps that have not been taken in yet; `waiting` does not count them."""
    set_aside: int = 0
    """Messages of theirs that Redis did not take in, and that nobody takes until somebody puts them back."""
    limit: int | None
    """How many may wait in the engine's three lanes together, by these settings; None: any number, or `auto`."""
    workers: int
    """That take from it: not those whose own access is broken."""
    oldest_job: str | None = None
    """The one that was submitted first."""
    oldest_wait_s: float | None = None
    """Since it was submitted, by Redis's clock."""
    jobs_per_minute: float | None = None
    """How fast jobs of the engine, of all lanes, have ended in the last minutes; None: none has."""
    empty_in_s: float | None = None
    """When this lane should be empty at that rate, the higher ones being drained first; None: not known."""


def dismiss_worker(registry: Registry, holder: str) -> None:
    """The worker has stopped."""
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.hdel(registry.keys.workers(), holder)
        pipeline.delete(registry.keys.drain(holder))
        pipeline.execute()


def drain_workers(registry: Registry, names: Sequence[str]) -> list[WorkerInfo]:
    """Tell the live workers of these names to end: they take nothing more, and what they have begun ends first.

    They hear of it by their next heartbeat. Raises WorkerUnknown, and then tells none.
    """
    found = workers_named(names, live_workers(registry))
    registry.run("drain", registry.arguments.drain([worker.holder for worker in found]))
    return found


def workers_named(names: Sequence[str], workers: Iterable[WorkerInfo]) -> list[WorkerInfo]:
    """All of them that have one of the names. Raises WorkerUnknown."""
    found = [worker for worker in workers if worker.name in names]
    if missing := sorted(set(names) - {worker.name for worker in found}):
        raise WorkerUnknown(f"No live worker {', '.join(missing)[:200]}.")
    return found


def live_workers(registry: Registry) -> list[WorkerInfo]:
    """The workers whose last heartbeat is recent; those long gone are forgotten."""
    key = registry.keys.workers()
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hgetall(key)
        (seconds, _), stored = pipeline.execute()
    if gone := [
        holder for holder, text in stored.items() if seconds - _seen_at_s(text) > registry.settings.record_ttl_s
    ]:
        with registry.errors():
            registry.client.hdel(key, *gone)
    return parse_live_workers(stored, seconds, registry.settings)


def parse_live_workers(stored: Mapping[bytes, bytes], now_s: float, settings: ClientSettings) -> list[WorkerInfo]:
    """The workers whose last heartbeat is recent, from the hash as Redis returns it; `now_s` is by Redis's clock."""
    live = (worker for worker in _announced(stored) if is_live(worker, now_s, settings))
    return sorted(live, key=lambda worker: worker.name)


def is_live(worker: WorkerInfo, now_s: float, settings: ClientSettings) -> bool:
    """Whether its last heartbeat is recent; `now_s` is by Redis's clock."""
    return worker.seen_at >= now_s - settings.worker_heartbeat_s * _MISSED_HEARTBEATS


def _seen_at_s(text: bytes) -> float:
    milliseconds = text.partition(b" ")[0]
    return int(milliseconds) / 1000 if milliseconds.isdigit() else 0.0


def _announced(stored: Mapping[bytes, bytes]) -> list[WorkerInfo]:
    found = []
    for text in stored.values():
        try:
            worker = WorkerInfo.model_validate_json(text.partition(b" ")[2])
        except ValidationError:
            continue  # a newer version's announcement is not ours to judge
        found.append(worker.model_copy(update={"seen_at": _seen_at_s(text)}))
    return found


def note_children(registry: Registry, workers: Iterable[WorkerInfo]) -> None:
    """Count the live workers' children that take from each lane, for TAKE to share out what waits among them."""
    children: Counter[str] = Counter()
    for worker in workers:
        children.update(dict.fromkeys(worker.queues, worker.concurrency))
    key = registry.keys.children()
    with registry.errors():
        noted = cast("Mapping[bytes, bytes]", registry.client.hgetall(key))
        if noted == {lane.encode(): str(count).encode() for lane, count in children.items()}:
            return
        with registry.client.pipeline(transaction=True) as pipeline:
            pipeline.delete(key)
            if children:
                pipeline.hset(key, items=[each for pair in children.items() for each in pair])
            pipeline.execute()


def workers_heard_of(registry: Registry) -> tuple[list[WorkerInfo], float]:
    """All that have not said that they stop, however long they have been silent; and now, by Redis's clock."""
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hgetall(registry.keys.workers())
        (seconds, _), stored = pipeline.execute()
    return _announced(stored), seconds


def known_engines(registry: Registry) -> dict[str, list[WorkerInfo]]:
    """Engine name -> its live workers; engines named in the settings are there without any."""
    return workers_by_engine(live_workers(registry), registry.settings)


def workers_by_engine(workers: Iterable[WorkerInfo], settings: ClientSettings) -> dict[str, list[WorkerInfo]]:
    """The same for workers that are known already."""
    engines: dict[str, list[WorkerInfo]] = {name: [] for name in settings.engines if name != AUTO}
    for worker in workers:
        for engine in worker.engines:
            if engine.name != AUTO:
                engines.setdefault(engine.name, []).append(worker)
    return engines


def queues(registry: Registry) -> list[QueueInfo]:
    """Every lane of every known engine: what waits, whose it is, the oldest of it, who takes from it and how fast.

    Those of `auto` only where a message waits to be taken in, or was set aside.
    """
    workers = live_workers(registry)
    engines = {**workers_by_engine(workers, registry.settings), AUTO: workers}
    lanes = [(engine, lane) for engine in engines for lane in LANES]
    names = [queue_name(engine, lane) for engine, lane in lanes]
    paused = pauses(registry)
    waiting, foreign, set_aside, tenants = _lengths(
        registry, names, [pause.name for pause in paused if pause.kind == "tenant"]
    )
    oldest = _oldest(registry, tenants)
    tenants = _with_side_lanes(tenants)
    now_s, rates = _rates(registry, list(engines))
    found: list[QueueInfo] = []
    for (engine, lane), name in zip(lanes, names, strict=True):
        if engine == AUTO and not foreign[name] and not set_aside[name]:
            continue
        job, since_s = oldest[name]
        rate = rates[engine]
        up_to_here = waiting[name] + sum(higher.waiting for higher in found if higher.engine == engine)
        found.append(
            QueueInfo(
                name=name,
                engine=engine,
                lane=lane,
                waiting=waiting[name],
                tenants=tenants[name],
                paused=is_paused(name, paused),
                paused_tenants=tuple(
                    each.name for each in paused if each.kind == "tenant" and each.name in tenants[name]
                ),
                foreign=foreign[name],
                set_aside=set_aside[name],
                limit=None if engine == AUTO else registry.settings.max_queue_length.of(engine) or None,
                workers=sum(name in worker.queues and worker.takes(engine) for worker in engines[engine]),
                oldest_job=job,
                oldest_wait_s=None if since_s is None else max(0.0, now_s - since_s),
                jobs_per_minute=rate and rate * 60,
                empty_in_s=rate and (up_to_here / rate if waiting[name] else 0.0),
            )
        )
    return found


def is_paused(lane: str, paused: Iterable[Pause]) -> bool:
    """Whether these pauses hold the whole lane."""
    holding = {("lane", lane), ("engine", lane.split(".")[1])}
    return any((pause.kind, pause.name) in holding for pause in paused)


def _lengths(
    registry: Registry, lanes: Sequence[str], paused_tenants: Sequence[str]
) -> tuple[dict[str, int], dict[str, int], dict[str, int], dict[str, dict[str, int]]]:
    """By lane: parts that wait, messages not taken in, messages set aside, and parts by tenant; of side lanes, at the
    end, parts alone.

    Paused tenants have no turn in a lane.
    """
    from ocrqueue.core.redis_faults import of_right_type

    keys = registry.keys
    beside = [name for name in side_lanes(registry) if lane_of(name) in lanes][:MOST_AT_ONCE]
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.hmget(keys.waiting(), list(lanes))
        for lane in lanes:
            pipeline.zrange(keys.lane(lane), 0, _MOST_TENANTS - 1)
            for name in lists_of(lane):
                pipeline.llen(keys.foreign(name))
                pipeline.llen(keys.aside(name))
        for name in beside:
            pipeline.zrange(keys.lane(name), 0, _MOST_TENANTS - 1)
        counted, *answers = of_right_type(pipeline.execute(raise_on_error=False), 0)
    remaining = iter(answers)
    of_lane: dict[str, list[str]] = {}
    foreign, set_aside = dict.fromkeys(lanes, 0), dict.fromkeys(lanes, 0)
    for lane in lanes:
        of_lane[lane] = list(dict.fromkeys([*(name.decode() for name in next(remaining)), *paused_tenants]))
        for _ in lists_of(lane):
            foreign[lane] += next(remaining)
            set_aside[lane] += next(remaining)
    for name in beside:
        of_lane[name] = list(dict.fromkeys([*(tenant.decode() for tenant in next(remaining)), *paused_tenants]))
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        for lane, names in of_lane.items():
            for tenant in names:
                pipeline.zcard(keys.queue(lane, tenant))
        each = iter(pipeline.execute())
    found = {lane: {tenant: next(each) for tenant in names} for lane, names in of_lane.items()}
    tenants = {lane: {tenant: parts for tenant, parts in each.items() if parts} for lane, each in found.items()}
    waiting = {lane: int(count or 0) for lane, count in zip(lanes, counted, strict=True)}
    return waiting, foreign, set_aside, tenants


def _with_side_lanes(tenants: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """What waits in a side lane waits in its lane, for those who look at that."""
    found: dict[str, dict[str, int]] = {}
    for name, parts in tenants.items():
        of_lane = found.setdefault(lane_of(name), {})
        for tenant, count in parts.items():
            of_lane[tenant] = of_lane.get(tenant, 0) + count
    return found


def _oldest(registry: Registry, tenants: Mapping[str, Iterable[str]]) -> dict[str, tuple[str | None, float | None]]:
    """By lane: the job that has waited longest, and since when, in seconds since 1970 by Redis's clock."""
    keys = registry.keys
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        for lane, names in tenants.items():
            for tenant in names:
                pipeline.zrange(keys.queue(lane, tenant), 0, 0, withscores=True)
        answers = iter(pipeline.execute())
    heads: dict[str, list[tuple[float, bytes]]] = {lane: [] for lane in tenants}
    for lane, names in tenants.items():
        heads[lane_of(lane)] += [(score, part) for _ in names for part, score in next(answers)]
    jobs = {lane: min(found)[1].decode().partition(":")[0] for lane, found in heads.items() if found}
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        for job_id in jobs.values():
            pipeline.hget(keys.record(job_id), "queued_at")
        since = dict(zip(jobs, pipeline.execute(), strict=True))
    return {
        lane: (jobs.get(lane), int(queued_at) / 1000 if (queued_at := since.get(lane)) else None) for lane in tenants
    }


def _rates(registry: Registry, engines: list[str]) -> tuple[float, dict[str, float | None]]:
    """The time by Redis's clock, in seconds since 1970, and by engine the jobs that end per second."""
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for engine in engines:
            pipeline.hgetall(registry.keys.ended(engine))
        (seconds, microseconds), *counts = pipeline.execute()
    now_s = seconds + microseconds / 1e6
    rates = (jobs_per_second(parse_counts(stored), now_s) for stored in counts)
    return now_s, dict(zip(engines, rates, strict=True))
