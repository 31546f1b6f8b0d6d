"""The installation as a whole: who works, what waits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ocrqueue.core.celery_messages import job_in_message
from ocrqueue.core.connection import broker_errors
from ocrqueue.core.rates import jobs_per_second, parse_counts
from ocrqueue.core.records import WorkerInfo
from ocrqueue.core.registry import Registry
from ocrqueue.job import JOB_ID, queue_name
from ocrqueue.job.names import AUTO, LANES, Priority
from ocrqueue.settings import Settings

_MISSED_HEARTBEATS = 4


class QueueInfo(BaseModel):
    """One lane of one engine, or of `auto`: what was sent there by name, and any worker passes on."""

    model_config = ConfigDict(frozen=True)

    name: str
    engine: str
    lane: Priority
    waiting: int
    """Jobs that no worker has taken."""
    limit: int | None
    """How many may wait in the engine's three lanes together, by these settings; None: any number."""
    workers: int
    oldest_job: str | None = None
    """The next to be taken; None too for a message that does not tell its id."""
    oldest_wait_s: float | None = None
    """Since it was submitted, by Redis's clock."""
    jobs_per_minute: float | None = None
    """How fast jobs of the engine, of all lanes, have ended in the last minutes; None: none has."""
    empty_in_s: float | None = None
    """When this lane should be empty at that rate, the higher ones being drained first; None: not known."""


def announce_worker(registry: Registry, worker: WorkerInfo) -> None:
    """Say that the worker is there; said again every `worker_heartbeat_s`."""
    with broker_errors():
        seconds, microseconds = registry.client.time()
        seen = worker.model_copy(update={"seen_at": seconds + microseconds / 1e6})
        registry.client.hset(registry.keys.workers(), worker.name, seen.model_dump_json())


def dismiss_worker(registry: Registry, name: str) -> None:
    """The worker has stopped."""
    with broker_errors():
        registry.client.hdel(registry.keys.workers(), name)


def live_workers(registry: Registry) -> list[WorkerInfo]:
    """The workers whose last heartbeat is recent; those long gone are forgotten."""
    key = registry.keys.workers()
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hgetall(key)
        (seconds, _), stored = pipeline.execute()
    announced = _announced(stored)
    if gone := [name for name, worker in announced if seconds - worker.seen_at > registry.settings.record_ttl_s]:
        with broker_errors():
            registry.client.hdel(key, *gone)
    return _live(announced, seconds, registry.settings)


def parse_live_workers(stored: Mapping[bytes, bytes], now_s: float, settings: Settings) -> list[WorkerInfo]:
    """The workers whose last heartbeat is recent, from the hash as Redis returns it; `now_s` is by Redis's clock."""
    return _live(_announced(stored), now_s, settings)


def _announced(stored: Mapping[bytes, bytes]) -> list[tuple[bytes, WorkerInfo]]:
    found = []
    for name, text in stored.items():
        try:
            found.append((name, WorkerInfo.model_validate_json(text)))
        except ValidationError:
            continue  # a newer version's announcement is not ours to judge or delete
    return found


def _live(announced: Iterable[tuple[bytes, WorkerInfo]], now_s: float, settings: Settings) -> list[WorkerInfo]:
    oldest = now_s - settings.worker_heartbeat_s * _MISSED_HEARTBEATS
    return sorted((worker for _, worker in announced if worker.seen_at >= oldest), key=lambda worker: worker.name)


def engines_seen(registry: Registry, within_s: float) -> set[str]:
    """The engines of which a worker was heard of within so many seconds, and has not said that it stops."""
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hgetall(registry.keys.workers())
        (seconds, _), stored = pipeline.execute()
    seen = (worker for _, worker in _announced(stored) if worker.seen_at >= seconds - within_s)
    return {offer.name for worker in seen for offer in worker.engines}


def known_engines(registry: Registry) -> dict[str, list[WorkerInfo]]:
    """Engine name -> its live workers; engines named in the settings are there without any."""
    return workers_by_engine(live_workers(registry), registry.settings)


def workers_by_engine(workers: Iterable[WorkerInfo], settings: Settings) -> dict[str, list[WorkerInfo]]:
    """The same for workers that are known already."""
    engines: dict[str, list[WorkerInfo]] = {name: [] for name in settings.engines if name != AUTO}
    for worker in workers:
        for engine in worker.engines:
            if engine.name != AUTO:
                engines.setdefault(engine.name, []).append(worker)
    return engines


def jobs_waiting(messages: int, in_groups: bytes | None) -> int:
    """In one queue: its messages, and what groups among them hold beyond one job each."""
    # of a message that was lost on its way to a worker the second may tell still
    return messages + int(in_groups or 0) if messages else 0


def queues(registry: Registry) -> list[QueueInfo]:
    """Every lane of every known engine: what waits, the oldest of it, who takes from it and how fast.

    Those of `auto` only where something waits: all workers take from them.
    """
    workers = live_workers(registry)
    engines = {**workers_by_engine(workers, registry.settings), AUTO: workers}
    lanes = [(engine, lane) for engine in engines for lane in LANES]
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        for engine, lane in lanes:
            key = registry.keys.queue(queue_name(engine, lane))
            pipeline.llen(key)
            pipeline.lindex(key, -1)
            pipeline.hget(registry.keys.grouped(queue_name(engine, lane)), "total")
        answers = pipeline.execute()
    oldest = [job_in_message(message) if message else {} for message in answers[1::3]]
    lengths = [
        jobs_waiting(messages, in_groups) for messages, in_groups in zip(answers[::3], answers[2::3], strict=True)
    ]
    since = _waiting_since_s(registry, oldest)
    now_s, rates = _rates(registry, list(engines))
    found: list[QueueInfo] = []
    for (engine, lane), waiting, job, since_s in zip(lanes, lengths, oldest, since, strict=True):
        if engine == AUTO and not waiting:
            continue
        name, rate = queue_name(engine, lane), rates[engine]
        up_to_here = waiting + sum(higher.waiting for higher in found if higher.engine == engine)
        found.append(
            QueueInfo(
                name=name,
                engine=engine,
                lane=lane,
                waiting=waiting,
                limit=registry.settings.max_queue_length.of(engine) or None,
                workers=sum(name in worker.queues for worker in engines[engine]),
                oldest_job=_id(job),
                oldest_wait_s=None if since_s is None else max(0.0, now_s - since_s),
                jobs_per_minute=rate and rate * 60,
                empty_in_s=rate and (up_to_here / rate if waiting else 0.0),
            )
        )
    return found


def _rates(registry: Registry, engines: list[str]) -> tuple[float, dict[str, float | None]]:
    """The time by Redis's clock, in seconds since 1970, and by engine the jobs that end per second."""
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for engine in engines:
            pipeline.hgetall(registry.keys.ended(engine))
        (seconds, microseconds), *counts = pipeline.execute()
    now_s = seconds + microseconds / 1e6
    rates = (jobs_per_second(parse_counts(stored), now_s) for stored in counts)
    return now_s, dict(zip(engines, rates, strict=True))


def _waiting_since_s(registry: Registry, jobs: list[dict[str, Any]]) -> list[float | None]:
    """When each was submitted, in seconds since 1970 by Redis's clock; by the producer's where there is no record."""
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        for job in jobs:
            pipeline.hget(registry.keys.record(_id(job) or ""), "queued_at")
        recorded = pipeline.execute()
    return [int(ms) / 1000 if ms else _submitted_at_s(job) for job, ms in zip(jobs, recorded, strict=True)]


def _id(job: dict[str, Any]) -> str | None:
    """The id in a message of unknown origin."""
    found = job.get("id")
    return found if isinstance(found, str) and re.fullmatch(JOB_ID, found) else None


def _submitted_at_s(job: dict[str, Any]) -> float | None:
    try:
        then = datetime.fromisoformat(str(job.get("submitted_at")))
    except ValueError:
        return None
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
