"""An installation at one moment, read from Redis: what `ocrqueue metrics` serves and `ocrqueue top` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocrqueue.core import QueueInfo, Registry, WorkerInfo, queues
from ocrqueue.core.connection import broker_errors
from ocrqueue.core.pauses import Pause, parse_pauses
from ocrqueue.core.recent_counts import count_by_kind, wait_quantile
from ocrqueue.routing import EngineStatus, engine_statuses


@dataclass(frozen=True, slots=True)
class RecentCounts:
    """One engine in the last 5 minutes."""

    wait_p50_s: float | None
    """What half of the jobs waited at most, from submission to their first start; None: none has started."""
    wait_p95_s: float | None
    errors: Mapping[str, int]
    """Code -> jobs that failed with it."""


@dataclass(frozen=True, slots=True)
class InstallationSnapshot:
    engines: Sequence[EngineStatus]
    lanes: Sequence[QueueInfo]
    recent: Mapping[str, RecentCounts]
    """By engine."""
    running: int
    """Parts of jobs, mostly one a job, that workers have."""
    delayed: int
    """Parts in a pause before their next attempt."""
    dead: int
    """Dead letters."""
    pauses: Sequence[Pause] = ()

    @property
    def workers(self) -> list[WorkerInfo]:
        """Each once, though it may have several engines, by name."""
        return sorted(
            {worker.name: worker for engine in self.engines for worker in engine.workers}.values(),
            key=lambda worker: worker.name,
        )


def read_installation(registry: Registry) -> InstallationSnapshot:
    """Some ten round trips to Redis, however many jobs there are. Raises BrokerUnavailable."""
    engines, lanes = engine_statuses(registry), queues(registry)
    names = [engine.name for engine in engines]
    keys = registry.keys
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for key in (keys.leases(), keys.delayed(), keys.dead()):
            pipeline.zcard(key)
        for name in names:
            pipeline.hgetall(keys.waits(name))
            pipeline.hgetall(keys.errors(name))
        pipeline.hgetall(keys.turns())
        (seconds, _), running, delayed, dead, *counted, turns = pipeline.execute()
    recent = {
        name: _recent_counts(waits, errors, seconds)
        for name, waits, errors in zip(names, counted[::2], counted[1::2], strict=True)
    }
    return InstallationSnapshot(engines, lanes, recent, running, delayed, dead, parse_pauses(turns))


def _recent_counts(waits: dict[bytes, bytes], errors: dict[bytes, bytes], now_s: float) -> RecentCounts:
    buckets: Mapping[str, Any] = count_by_kind(waits, now_s)
    return RecentCounts(wait_quantile(buckets, 0.5), wait_quantile(buckets, 0.95), count_by_kind(errors, now_s))
