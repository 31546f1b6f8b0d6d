"""The engines of an installation at one moment: who works, what waits, how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ocrqueue.core import EngineOffer, Registry, WorkerInfo
from ocrqueue.core.billing import billed_pages
from ocrqueue.core.installation import known_engines, parse_live_workers, workers_by_engine
from ocrqueue.core.keys import Keys
from ocrqueue.core.pauses import parse_pauses
from ocrqueue.core.rates import per_minute
from ocrqueue.job import queue_name
from ocrqueue.job.names import AUTO, LANES, Priority

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings


class EngineStatus(BaseModel):
    """One engine."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str
    workers: tuple[WorkerInfo, ...] = ()
    """Those alive."""
    waiting: Mapping[Priority, int] = {}
    """Jobs that no worker has taken, by lane; empty where it was not asked for."""
    paused: bool = False
    """Whether nothing is taken from its lanes."""
    jobs_per_minute: float | None = None
    """How fast jobs have ended in the last minutes; None: none has."""
    pages_per_minute: float | None = None
    """The same for pages read."""
    pages_billed: int | None = None
    """Given to the engine's service in this calendar month (UTC); None where it was not asked for, or none costs."""
    cost: float | None = None
    """Of these pages, in the currency of the setting engine_page_cost."""

    @property
    def takes_jobs(self) -> bool:
        """Whether one of its workers does: not one whose own access is broken."""
        return any(worker.takes(self.name) for worker in self.workers)

    @property
    def offers(self) -> tuple[EngineOffer, ...]:
        """What its live workers say of it, one for each; not of those where nothing can be read with it."""
        return tuple(
            offer
            for worker in self.workers
            if not any(trouble.stops and trouble.engine == self.name for trouble in worker.troubles)
            for offer in worker.engines
            if offer.name == self.name
        )

    def waiting_before(self, lane: Priority) -> int:
        """How many jobs are ahead of one that joins this lane, the higher ones being drained first."""
        return sum(self.waiting.get(ahead, 0) for ahead in LANES[: LANES.index(lane) + 1])


EnginesNow = Mapping[str, EngineStatus]
"""By name: those of the settings, and those that live workers have."""


def read_engines(registry: Registry) -> EnginesNow:
    """What `make_route` goes by, in one round trip to Redis. Raises BrokerUnavailable."""
    engines = engines_to_measure(registry.settings)
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        ask(pipeline, registry.keys, engines)
        return understand(pipeline.execute(), registry.settings, engines)


def engine_statuses(registry: Registry) -> list[EngineStatus]:
    """All that is known of every known engine. Raises BrokerUnavailable."""
    engines = tuple(known_engines(registry))
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for engine in engines:
            pipeline.hgetall(registry.keys.pages(engine))
        ask(pipeline, registry.keys, engines)
        (seconds, microseconds), *answers = pipeline.execute()
    found = understand(answers[len(engines) :], registry.settings, engines)
    now_s = seconds + microseconds / 1e6
    pages = {engine: per_minute(stored, now_s) for engine, stored in zip(engines, answers, strict=False)}
    return [
        status.model_copy(update={"pages_per_minute": pages.get(name), **_cost(registry, name)})
        for name, status in found.items()
    ]


def _cost(registry: Registry, engine: str) -> dict[str, float]:
    price = registry.settings.engine_page_cost.of(engine)
    if not price:
        return {}
    pages = billed_pages(registry, engine)
    return {"pages_billed": pages, "cost": pages * price / 100_000}


def engines_to_measure(settings: ClientSettings) -> tuple[str, ...]:
    """Those whose queues and pace a choice depends on."""
    return settings.auto_engines if settings.auto_policy == "shortest" else ()


def ask(pipeline: Any, keys: Keys, engines: Sequence[str]) -> None:
    """Put on a pipeline of redis-py, blocking or not, what `understand` wants answered."""
    pipeline.time()
    pipeline.hgetall(keys.workers())
    pipeline.hgetall(keys.turns())
    for engine in engines:
        pipeline.hmget(keys.waiting(), [queue_name(engine, lane) for lane in LANES])
        pipeline.hgetall(keys.ended(engine))


def understand(answers: Sequence[Any], settings: ClientSettings, engines: Sequence[str]) -> EnginesNow:
    """`engines` are those that were asked for; the others come without queues and pace."""
    (seconds, microseconds), stored, turns, *measured = answers
    now_s = seconds + microseconds / 1e6
    workers = workers_by_engine(parse_live_workers(stored, now_s, settings), settings)
    paused = {pause.name for pause in parse_pauses(turns) if pause.kind == "engine"}
    found = {
        name: EngineStatus(name=name, workers=tuple(alive), paused=name in paused) for name, alive in workers.items()
    }
    remaining = iter(measured)
    for engine in engines:
        status = found.get(engine, EngineStatus(name=engine, paused=engine in paused))
        waiting = {lane: int(count or 0) for lane, count in zip(LANES, next(remaining), strict=True)}
        pace = per_minute(next(remaining), now_s)
        found[engine] = status.model_copy(update={"waiting": waiting, "jobs_per_minute": pace})
    return {name: status for name, status in found.items() if name != AUTO}
