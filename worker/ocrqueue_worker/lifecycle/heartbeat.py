"""The worker's main process tells Redis that it is alive and which jobs its children run, and looks after lost jobs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from celery import bootsteps

from ocrqueue.core import EngineOffer, WorkerInfo
from ocrqueue.core.installation import announce_worker, dismiss_worker
from ocrqueue.core.reconciler import Reconciler
from ocrqueue.errors import BrokerUnavailable, OcrQueueError
from ocrqueue_worker.task.jobs_in_hand import jobs_in_hand, running_jobs
from ocrqueue_worker.task.recognize import RecognizeTask
from ocrqueue_worker.telemetry.memory_use import worker_bytes

_log = structlog.get_logger(__name__)


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep: announces the worker at its start and every `worker_heartbeat_s`, dismisses it at its stop.

    The consumer restarts when the broker's connection is lost and regained; so does the announcement.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.started_at = datetime.now(UTC)
        self.stopped = threading.Event()
        self.timer: Any = None

    def start(self, parent: Any) -> None:
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        queues = tuple(parent.app.amqp.queues.consume_from)
        worker = WorkerInfo(
            name=parent.hostname,
            queues=queues,
            engines=tuple(_offers(task, queues)),
            concurrency=parent.controller.concurrency,
            pid=os.getpid(),
            started_at=self.started_at,
        )
        seconds = task.settings.worker_heartbeat_s
        reconciler = Reconciler(task.registry, storage=None, turn_every_s=seconds)
        announce = partial(_announce, task, worker, reconciler, parent.controller)
        announce()
        self.stopped = threading.Event()
        if "solo" in str(parent.controller.pool_cls):
            # the timer's thread is the one that reads
            threading.Thread(target=_repeat, args=(self.stopped, seconds, announce), daemon=True).start()
        else:
            self.timer = parent.timer.call_repeatedly(seconds, announce, priority=10)

    def stop(self, parent: Any) -> None:
        self.stopped.set()
        if self.timer is not None:
            self.timer.cancel()
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        try:
            dismiss_worker(task.registry, parent.hostname)
        except BrokerUnavailable as error:
            _log.warning("cannot sign off", error=error.code)


def _announce(task: RecognizeTask, worker: WorkerInfo, reconciler: Reconciler, controller: Any) -> None:
    """Say that the worker and its jobs are alive, and look after those that are not."""
    load = {"running": len(running_jobs()), "memory_bytes": worker_bytes(controller)}
    try:
        announce_worker(task.registry, worker.model_copy(update=load))
        task.registry.heartbeat(sorted(jobs_in_hand()))
        found = reconciler.run_in_turn()
    except BrokerUnavailable as error:
        reconciler.lost_touch()
        _log.warning("cannot announce this worker", error=error.code)
    else:
        if found.requeued or found.republished:
            _log.warning("requeued lost jobs", worker_lost=found.requeued, message_lost=found.republished)


def _repeat(stopped: threading.Event, seconds: float, call: Callable[[], None]) -> None:
    while not stopped.wait(seconds):
        call()


def _offers(task: RecognizeTask, queues: tuple[str, ...]) -> list[EngineOffer]:
    offers = []
    for name in task.engines_of(queues):
        try:
            engine = task.engine(name, load=False)
        except OcrQueueError as error:
            _log.error("engine cannot run here", engine=name, error=str(error))
            continue
        languages = engine.languages()
        info = engine.info(languages)
        offer = EngineOffer(
            languages=languages,
            fixed_languages=engine.fixed_languages,
            reads_lines=engine.reads_lines,
            **info.model_dump(),
        )
        offers.append(offer)
    return offers
