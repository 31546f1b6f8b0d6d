"""The installation as a whole: who works, what waits."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from ocrqueue.job import LANES, Priority, queue_name
from ocrqueue.messages import job_in_message
from ocrqueue.registry.connection import broker_errors
from ocrqueue.registry.records import WorkerInfo
from ocrqueue.registry.registry import Registry

_MISSED_HEARTBEATS = 4


class QueueInfo(BaseModel):
    """One lane of one engine."""

    model_config = ConfigDict(frozen=True)

    name: str
    engine: str
    lane: Priority
    waiting: int
    workers: int
    oldest_job: str | None = None
    oldest_wait_s: float | None = None


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
    live, gone = [], []
    for name, text in stored.items():
        try:
            worker = WorkerInfo.model_validate_json(text)
        except ValidationError:
            continue  # a newer version's announcement is not ours to judge or delete
        fresh = seconds - worker.seen_at <= registry.settings.worker_heartbeat_s * _MISSED_HEARTBEATS
        if fresh:
            live.append(worker)
        elif seconds - worker.seen_at > registry.settings.record_ttl_s:
            gone.append(name)
    if gone:
        with broker_errors():
            registry.client.hdel(key, *gone)
    return sorted(live, key=lambda worker: worker.name)


def known_engines(registry: Registry) -> dict[str, list[WorkerInfo]]:
    """Engine name -> its live workers; engines named in the settings are there without any."""
    engines: dict[str, list[WorkerInfo]] = {name: [] for name in registry.settings.engines}
    for worker in live_workers(registry):
        for engine in worker.engines:
            engines.setdefault(engine.name, []).append(worker)
    return engines


def queues(registry: Registry) -> list[QueueInfo]:
    """Every lane of every known engine: what waits, the oldest of it, and who takes from it."""
    engines = known_engines(registry)
    lanes = [(engine, lane) for engine in engines for lane in LANES]
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        for engine, lane in lanes:
            key = registry.keys.queue(queue_name(engine, lane))
            pipeline.llen(key)
            pipeline.lindex(key, -1)
        answers = pipeline.execute()
    found = []
    for (engine, lane), waiting, oldest in zip(lanes, answers[::2], answers[1::2], strict=True):
        name = queue_name(engine, lane)
        job = job_in_message(oldest) if oldest else {}
        found.append(
            QueueInfo(
                name=name,
                engine=engine,
                lane=lane,
                waiting=waiting,
                workers=sum(name in worker.queues for worker in engines[engine]),
                oldest_job=job.get("id"),
                oldest_wait_s=_seconds_since(job.get("submitted_at")),
            )
        )
    return found


def _seconds_since(submitted_at: object) -> float | None:
    try:
        then = datetime.fromisoformat(str(submitted_at))
    except ValueError:
        return None
    return max(0.0, (datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds())
