"""A worker's metrics, served by its main process while it runs, children being replaced or not."""

from __future__ import annotations

import atexit
import tempfile
import threading
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.worker.state import active_requests

from ocrqueue.monitoring.metric import Metric
from ocrqueue_worker.access.troubles import TROUBLES
from ocrqueue_worker.engines.discovery import engine_names
from ocrqueue_worker.task.celery_task import RecognizeTask
from ocrqueue_worker.telemetry import metrics
from ocrqueue_worker.telemetry.memory_use import resident_bytes, worker_processes

_log = structlog.get_logger(__name__)

_AGAIN_S: Final = 5.0
"""Pause before a port that another process has is tried again: of a worker that this one replaces, perhaps."""
_TIDY_EVERY_S: Final = 60.0

MEMORY: Final = Metric(
    "ocrqueue_worker_resident_memory_bytes",
    "gauge",
    "Resident memory: of the main process, and of each child by its place in the pool.",
    ("process",),
)
AT_WORK: Final = Metric("ocrqueue_worker_jobs_at_work", "gauge", "Running jobs, or batches of them.")
CONCURRENCY: Final = Metric("ocrqueue_worker_concurrency", "gauge", "Jobs, or batches of them, that can run at a time.")
TAKES: Final = Metric(
    "ocrqueue_worker_takes_jobs",
    "gauge",
    "0 while the worker takes no jobs, since its own access is broken; otherwise 1.",
)
TROUBLES_NOW: Final = Metric(
    "ocrqueue_worker_troubles",
    "gauge",
    "1 for each thing that is wrong with the worker's access, with the code of its error.",
    ("what", "error"),
)
GAUGES: Final = (MEMORY, AT_WORK, CONCURRENCY, TAKES, TROUBLES_NOW)


class MetricsServer(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A worker bootstep, of workers with a port for metrics.

    Made before the pool is, so that children inherit the metrics.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        self.settings = task.settings
        self.enabled = bool(self.settings.metrics_port)
        self.stopped = threading.Event()
        self.thread: threading.Thread | None = None
        if self.enabled:
            own = task.engines_of(parent.app.amqp.queues.consume_from)
            metrics.start(self.folder, self.settings, {*self.settings.engines, *engine_names()}, own)
            # not when this step stops: children may have jobs still; they do not run what is registered here
            atexit.register(metrics.close)

    @cached_property
    def folder(self) -> Path:
        """Metrics of this worker alone."""
        return Path(tempfile.mkdtemp(prefix="ocrqueue-metrics-"))

    def start(self, parent: Any) -> None:
        self.thread = threading.Thread(target=self._serve, args=(parent,), name="ocrqueue-metrics", daemon=True)
        self.thread.start()

    def stop(self, parent: Any) -> None:
        self.stopped.set()
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def terminate(self, parent: Any) -> None:
        self.stop(parent)

    def _serve(self, parent: Any) -> None:
        from prometheus_client import CollectorRegistry, start_http_server

        from ocrqueue_worker.telemetry.metrics_files import CountedByProcesses

        host, port = self.settings.metrics_host, self.settings.metrics_port
        counted, registry = CountedByProcesses(self.folder), CollectorRegistry()
        registry.register(counted)
        registry.register(_gauges(parent))
        server = None
        told = False
        while server is None:
            try:
                server, thread = start_http_server(port, host, registry)
            except OSError as error:
                if not told:
                    _log.error("cannot serve the metrics; goes on trying", host=host, port=port, error=error.strerror)
                told = True
                if self.stopped.wait(_AGAIN_S):
                    break
        else:
            _log.info("metrics are served", host=host, port=port)
            while not self.stopped.wait(_TIDY_EVERY_S):
                counted.add_up()
            server.shutdown()
            server.server_close()
            thread.join()


def _gauges(worker: Any) -> Any:
    """A collector of what is looked up at a scrape."""
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector

    class Gauges(Collector):
        def describe(self) -> Iterable[GaugeMetricFamily]:
            return []

        def collect(self) -> Iterator[GaugeMetricFamily]:
            memory = GaugeMetricFamily(MEMORY.name, MEMORY.help, labels=MEMORY.labels)
            for name, process in worker_processes(worker).items():
                if (resident := resident_bytes(process)) is not None:
                    memory.add_metric([name], resident)
            yield memory
            yield GaugeMetricFamily(AT_WORK.name, AT_WORK.help, value=len(active_requests))
            yield GaugeMetricFamily(CONCURRENCY.name, CONCURRENCY.help, value=worker.concurrency)
            yield GaugeMetricFamily(TAKES.name, TAKES.help, value=0 if TROUBLES.stop() else 1)
            troubles = GaugeMetricFamily(TROUBLES_NOW.name, TROUBLES_NOW.help, labels=TROUBLES_NOW.labels)
            for trouble in TROUBLES.now():
                troubles.add_metric([trouble.what, trouble.error.code], 1)
            yield troubles

    return Gauges()
