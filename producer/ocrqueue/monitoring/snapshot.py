"""An installation at one moment, read from Redis: what `ocrqueue metrics` serves and `ocrqueue top` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ocrqueue.core import QueueInfo, Registry, WorkerInfo, queues
from ocrqueue.core.pauses import Pause, parse_pauses
from ocrqueue.core.recent_counts import count_by_kind, wait_quantile
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.script_arguments import PIPELINE
from ocrqueue.core.usage import Usage, add_usage, days_of, number_of, period_of
from ocrqueue.routing import EngineStatus, engine_statuses

_MOST_TENANTS: Final = 100


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
    usage: Sequence[Usage] = ()
    """In this month, of the 100 tenants that have used something last."""
    webhooks_overdue_s: float = 0.0
    """For how long the notice that has been due for longest has waited for a sender."""
    webhooks_failing_hosts: int = 0
    """Hosts, by tenant, whose last attempt failed and for which notices wait."""
    webhooks_failed: int = 0
    """Notices that nobody took."""
    bucket_events: Mapping[str, int] = field(default_factory=dict)
    """How many events of buckets became what."""

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
        pipeline.zrevrange(keys.usage_tenants(), 0, _MOST_TENANTS - 1)
        pipeline.zrange(keys.notice_lanes(failing=False), 0, 0, withscores=True)
        for key in (keys.notice_lanes(failing=True), keys.notices_failed()):
            pipeline.zcard(key)
        pipeline.hgetall(keys.bucket_events())
        (seconds, _), running, delayed, dead, *counted, turns, tenants, due, failing, failed, events = (
            pipeline.execute()
        )
    recent = {
        name: _recent_counts(waits, errors, seconds)
        for name, waits, errors in zip(names, counted[::2], counted[1::2], strict=True)
    }
    return InstallationSnapshot(
        engines,
        lanes,
        recent,
        running,
        delayed,
        dead,
        parse_pauses(turns),
        usage=_usage(registry, tenants, seconds),
        webhooks_overdue_s=max(0.0, seconds - due[0][1] / 1000) if due else 0.0,
        webhooks_failing_hosts=failing,
        webhooks_failed=failed,
        bucket_events={became.decode(): int(count) for became, count in events.items()},
    )


def _usage(registry: Registry, tenants: Sequence[bytes], now_s: int) -> list[Usage]:
    """In this month."""
    names = sorted(tenant.decode(errors="replace") for tenant in tenants)
    wanted = [(day, name) for name in names for day in days_of(datetime.fromtimestamp(now_s, UTC).date(), "month", 1)]
    found: dict[tuple[str, str], Usage] = {}
    for start in range(0, len(wanted), PIPELINE):
        chunk = wanted[start : start + PIPELINE]
        with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
            for day, name in chunk:
                pipeline.hgetall(registry.keys.usage(number_of(day), name))
            for (day, name), fields in zip(chunk, pipeline.execute(), strict=True):
                if fields:
                    add_usage(found, name, period_of(day, "month"), fields)
    return list(found.values())


def _recent_counts(waits: dict[bytes, bytes], errors: dict[bytes, bytes], now_s: float) -> RecentCounts:
    buckets: Mapping[str, Any] = count_by_kind(waits, now_s)
    return RecentCounts(wait_quantile(buckets, 0.5), wait_quantile(buckets, 0.95), count_by_kind(errors, now_s))
