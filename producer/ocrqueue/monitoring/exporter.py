"""The queues and the installation as a whole, for Prometheus: read from Redis when it asks.

One exporter is enough for an installation. Needs the extra `ocrqueue[metrics]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ocrqueue.core import Registry
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.monitoring.installation_metrics import METRICS, UP
from ocrqueue.monitoring.snapshot import InstallationSnapshot, read_installation

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""

_MOST_TENANTS: Final = 100
_NO_LABELS: Final[tuple[str, ...]] = ()


class InstallationCollector(Collector):
    """Asks Redis at every scrape; while Redis does not answer there is `ocrqueue_up 0` and nothing else."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """So that registering it asks nothing."""
        return [GaugeMetricFamily(metric.name, metric.help, labels=metric.labels) for metric in (UP, *METRICS)]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            now = read_installation(self.registry)
        except BrokerUnavailable:
            yield GaugeMetricFamily(UP.name, UP.help, value=0)
            return
        yield GaugeMetricFamily(UP.name, UP.help, value=1)
        values = _values(now)
        for metric in METRICS:
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in values[metric.name]:
                family.add_metric(labels, value)
            yield family


def collector_registry(registry: Registry) -> CollectorRegistry:
    """With these metrics and no others."""
    made = CollectorRegistry()
    made.register(InstallationCollector(registry))
    return made


def _tenants(now: InstallationSnapshot) -> list[tuple[str, int]]:
    waiting = Counter[str]()
    for lane in now.lanes:
        waiting.update(lane.tenants)
    return waiting.most_common(_MOST_TENANTS)


def _stopped(now: InstallationSnapshot) -> Counter[tuple[str, ...]]:
    found = Counter[tuple[str, ...]]()
    for engine in now.engines:
        for worker in engine.workers:
            codes = {each.error.code for each in worker.troubles if each.stops and each.engine in (None, engine.name)}
            found.update((engine.name, code) for code in codes)
    return found


def _values(now: InstallationSnapshot) -> dict[str, list[Sample]]:
    engines, lanes = now.engines, now.lanes
    billed = [engine for engine in engines if engine.pages_billed is not None]
    return {
        "ocrqueue_queue_jobs": [((lane.engine, lane.lane), lane.waiting) for lane in lanes],
        "ocrqueue_queue_messages": [((lane.engine, lane.lane), lane.foreign) for lane in lanes],
        "ocrqueue_queue_messages_set_aside": [((lane.engine, lane.lane), lane.set_aside) for lane in lanes],
        "ocrqueue_tenant_jobs": [((tenant,), parts) for tenant, parts in _tenants(now)],
        "ocrqueue_queue_oldest_age_seconds": [
            ((lane.engine, lane.lane), lane.oldest_wait_s or 0.0 if lane.waiting else 0.0) for lane in lanes
        ],
        "ocrqueue_queue_limit_jobs": [
            ((engine,), limit)
            for engine, limit in {lane.engine: lane.limit for lane in lanes}.items()
            if limit is not None
        ],
        "ocrqueue_queue_paused": [((lane.engine, lane.lane), float(lane.paused)) for lane in lanes],
        "ocrqueue_tenants_paused": [(_NO_LABELS, sum(each.kind == "tenant" for each in now.pauses))],
        "ocrqueue_workers_draining": [(_NO_LABELS, sum(worker.draining for worker in now.workers))],
        "ocrqueue_workers": [((engine.name,), len(engine.workers)) for engine in engines],
        "ocrqueue_worker_slots": [
            ((engine.name,), sum(worker.concurrency for worker in engine.workers)) for engine in engines
        ],
        "ocrqueue_workers_stopped": list(_stopped(now).items()),
        "ocrqueue_jobs_running": [(_NO_LABELS, now.running)],
        "ocrqueue_jobs_delayed": [(_NO_LABELS, now.delayed)],
        "ocrqueue_dead_letters": [(_NO_LABELS, now.dead)],
        "ocrqueue_webhooks_overdue_seconds": [(_NO_LABELS, now.webhooks_overdue_s)],
        "ocrqueue_webhooks_failing_hosts": [(_NO_LABELS, now.webhooks_failing_hosts)],
        "ocrqueue_webhooks_failed": [(_NO_LABELS, now.webhooks_failed)],
        "ocrqueue_bucket_events": [((became,), count) for became, count in now.bucket_events.items()],
        "ocrqueue_billed_pages": [((engine.name,), engine.pages_billed or 0) for engine in billed],
        "ocrqueue_billed_cost": [((engine.name,), engine.cost or 0.0) for engine in billed],
        "ocrqueue_tenant_month_jobs": [((each.tenant,), each.jobs) for each in now.usage],
        "ocrqueue_tenant_month_pages": [((each.tenant,), each.pages) for each in now.usage],
        "ocrqueue_tenant_month_cpu_seconds": [((each.tenant,), each.cpu_s) for each in now.usage],
        "ocrqueue_tenant_month_bytes": [((each.tenant,), each.bytes) for each in now.usage],
        "ocrqueue_tenant_month_cost": [((each.tenant,), each.cost) for each in now.usage],
    }
