"""The workers' Celery app, configured from OCRQUEUE_*: `celery -A ocrqueue_worker.app worker -Q ocr.tesseract`."""

from __future__ import annotations

import os
from typing import Any, Final

# Tesseract's own threads cost more than they bring (tesseract#3109); OpenMP reads this once, when it is loaded
os.environ.setdefault("OMP_THREAD_LIMIT", "1")

from celery import Celery
from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
)

from ocrqueue.job import queue_name
from ocrqueue.settings import WorkerSettings, process_settings
from ocrqueue.settings.redis_url import place_of, sentinels_of
from ocrqueue.tracing import check_tracing, send_last_spans
from ocrqueue_worker.broker.transport import Channel
from ocrqueue_worker.lifecycle.access_watch import AccessWatch
from ocrqueue_worker.lifecycle.before_children import prepare_for_children
from ocrqueue_worker.lifecycle.cancel_watch import CancelWatch
from ocrqueue_worker.lifecycle.celery_worker import CeleryWorker
from ocrqueue_worker.lifecycle.child_exits import replace_children_promptly
from ocrqueue_worker.lifecycle.heartbeat import Announcement, Heartbeat
from ocrqueue_worker.lifecycle.liveness import Liveness
from ocrqueue_worker.lifecycle.lost_connection import AfterLostConnection
from ocrqueue_worker.lifecycle.metrics_server import MetricsServer
from ocrqueue_worker.lifecycle.overdue_ends import OverdueEnds
from ocrqueue_worker.lifecycle.pool_child import fit_children, set_signals_of_child
from ocrqueue_worker.lifecycle.readiness import Readiness, ReplacedChildren
from ocrqueue_worker.lifecycle.remote_control import fit_remote_control
from ocrqueue_worker.limits.child_memory import CHILD_MEMORY
from ocrqueue_worker.limits.heap import collect_cycles_soon, return_memory_of_jobs
from ocrqueue_worker.limits.recycling import RECYCLING
from ocrqueue_worker.task.celery_task import RecognizeTask
from ocrqueue_worker.telemetry import metrics
from ocrqueue_worker.telemetry.logs import configure_logging

_HEALTH_CHECK_INTERVAL_S: Final = 30
"""How often the channel of remote control is tried; how long the answer to a question for bells may be overdue."""
_LEAST_SOCKET_TIMEOUT_S: Final = 2.0


def broker_shown(redis_url: str) -> str:
    """What Celery may know of its broker, and tells to whoever asks: of several Sentinels it can show one."""
    hosts, _, path = place_of(redis_url).partition("/")
    return f"{'sentinel' if sentinels_of(redis_url) else 'redis'}://{hosts.partition(',')[0]}/{path}"


def celery_settings(settings: WorkerSettings) -> dict[str, Any]:
    """Celery's configuration. Why each is as it is: docs/workers.md."""
    return {
        # for Celery to show: the transport makes its connections by itself
        "broker_url": broker_shown(settings.redis_url.get_secret_value()),
        "broker_transport": "ocrqueue_worker.broker.transport:Transport",
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "global_keyprefix": settings.key_prefix,
            "socket_timeout": max(_LEAST_SOCKET_TIMEOUT_S, settings.redis_timeout_s),
            "socket_connect_timeout": settings.redis_timeout_s,
            "socket_keepalive": True,
            "health_check_interval": _HEALTH_CHECK_INTERVAL_S,
        },
        # FINISH writes what a foreign app's AsyncResult reads
        "result_backend": None,
        "task_ignore_result": True,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_default_queue": queue_name(settings.default_engine),
        "task_acks_late": True,
        "task_soft_time_limit": settings.soft_time_limit_s.default,
        "task_time_limit": settings.hard_time_limit_s.default,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_max_memory_per_child": settings.max_memory_per_child_mib.default * 1024 or None,
        "worker_proc_alive_timeout": settings.engine_load_timeout_s,
        "worker_send_task_events": False,
        "worker_redirect_stdouts": False,
    }


def make_app(settings: WorkerSettings) -> Celery:
    """A Celery app with the task and the worker's announcement."""
    made = Celery("ocrqueue_worker")
    made.conf.update(celery_settings(settings))
    made.Worker = made.subclass_with_self(CeleryWorker)
    task = RecognizeTask(settings)
    made.register_task(task)
    Channel.batch_size = staticmethod(task.batch_size)
    for name in set(made.tasks) - {RecognizeTask.name}:
        # Celery's own (groups, maps, chords) run or send whatever their message says
        made.tasks.unregister(name)
    made.steps["worker"].update((Readiness, AccessWatch, MetricsServer, Heartbeat, CancelWatch))
    made.steps["consumer"].update((Liveness, AfterLostConnection, ReplacedChildren, OverdueEnds, Announcement))
    return made


app = make_app(process_settings())
fit_remote_control()
fit_children()
replace_children_promptly()


def _task(celery: Celery) -> RecognizeTask:
    task: RecognizeTask = celery.tasks[RecognizeTask.name]
    return task


def _set_up_logging(**_: Any) -> None:
    configure_logging(process_settings())


def _check_settings(**_: Any) -> None:
    check_tracing(process_settings())


def _prepare_for_children(**_: Any) -> None:
    prepare_for_children(process_settings())


def _note_options(instance: Any, conf: Any, **_: Any) -> None:
    """For the children, which share the cores and are replaced: options are told to the main process only."""
    conf.worker_concurrency = instance.concurrency
    CHILD_MEMORY.most_kib = instance.max_memory_per_child or 0


def _load_engines(**_: Any) -> None:
    metrics.child_started()
    RECYCLING.begin(_task(app).jobs_per_child())
    try:
        _task(app).load_engines()
    finally:
        _task(app).children_loaded.note()
    collect_cycles_soon()


def _before_jobs(kwargs: Any = None, **_: Any) -> None:
    RECYCLING.message_begins(len((kwargs or {}).get("parts", ())))


def _after_job(**_: Any) -> None:
    # before the main process hears of the end: it is to take nothing for a child that leaves
    RECYCLING.message_ends()
    if CHILD_MEMORY.is_exceeded():
        _task(app).children_loaded.note_leaving()
    return_memory_of_jobs()


def _close_engines(**_: Any) -> None:
    _task(app).close()
    send_last_spans()


setup_logging.connect(_set_up_logging)
celeryd_init.connect(_check_settings)
celeryd_init.connect(_prepare_for_children)
celeryd_after_setup.connect(_note_options)
worker_process_init.connect(set_signals_of_child)
worker_process_init.connect(_load_engines)
task_prerun.connect(_before_jobs)
task_postrun.connect(_after_job)
worker_process_shutdown.connect(_close_engines)
