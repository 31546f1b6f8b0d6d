"""A prefork worker takes no job, and does not announce itself, before its children have loaded their engines.

A large model takes a minute. Until then a message would wait here that another worker could answer, and whoever looks
at `ocrqueue engines` would take this one for ready.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.worker import state

from ocrqueue.core.celery_messages import TASK
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.broker.short_jobs import SHORT_JOBS
from ocrqueue_worker.limits.recycling import RECYCLING
from ocrqueue_worker.task.children_loaded import ChildrenLoaded

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.2


class Readiness(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A worker bootstep between the pool and the consumer.

    A child that dies meanwhile ends the wait: Celery replaces it once its event loop runs.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.enabled = "prefork" in str(parent.pool_cls)
        if self.enabled:
            _children_loaded(parent).open()
            if not parent.max_tasks_per_child:
                # Celery's own limit counts messages, and is to go on meaning jobs
                SHORT_JOBS.allow()
            if parent.app.tasks[TASK].jobs_per_child():
                RECYCLING.open()
        else:
            HAND.capacity = lambda: int(parent.concurrency)

    def start(self, parent: Any) -> None:
        loaded = _children_loaded(parent)
        begin = time.monotonic()
        deadline = begin + parent.app.conf.worker_proc_alive_timeout
        while (ready := len(loaded.among(_child_ids(parent)))) < parent.concurrency and time.monotonic() < deadline:
            loaded.wait(_LOOK_EVERY_S)
            if state.should_stop is not None or state.should_terminate is not None:
                _stop_loading(parent)
                return
            if _child_ended(parent):
                break
        loaded.done = True
        HAND.capacity = partial(_ready_children, parent)
        HAND.send_on = partial(_send_to_children, parent)
        seconds = round(time.monotonic() - begin, 1)
        if ready < parent.concurrency:
            _log.warning("engines are not loaded yet", children=parent.concurrency - ready, seconds=seconds)
        else:
            # Celery looks once more when it has connected, and would end a worker if a child was killed meanwhile
            parent.pool.did_start_ok = lambda: True
            _log.info("engines loaded", children=parent.concurrency, seconds=seconds)


class ReplacedChildren(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep: the event loop hears of a child that has loaded its engines, and takes something for it."""

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        loaded: ChildrenLoaded = consumer.app.tasks[TASK].children_loaded
        if loaded.file is not None:
            hub.add_reader(loaded.file, loaded.read)


def _ready_children(worker: Any) -> int:
    """Those that may get work: one that loads its engine would let it wait, and one that leaves would not get it."""
    children = _children_loaded(worker)
    children.read()
    loaded = children.among(_child_ids(worker))
    leaver = RECYCLING.leaver(loaded, worker.concurrency)
    if leaver not in loaded:
        return len(loaded)
    _send_nothing_to(leaver, worker)
    return len(loaded) - 1


def _send_nothing_to(leaver: int, worker: Any) -> None:
    """Celery's pool would give it the next message as readily as any other child."""
    for child in worker.pool._pool._pool:
        if child.pid == leaver:
            worker.pool._pool._all_inqueues.discard(child.inqW_fd)


def _send_to_children(worker: Any) -> None:
    """Celery's pool would have the event loop look for children that can be written to, and write in its next round.
    Each round costs as much as a move in Redis."""
    pool = worker.pool._pool if worker.pool else None
    write = worker.hub.consolidate_callback if worker.hub else None
    if pool is not None and write is not None and pool.outbound_buffer:
        write(list(pool._all_inqueues))


def _child_ids(worker: Any) -> list[int]:
    """Those that live: one that was killed stays in the pool's list until Celery has buried it."""
    pool = worker.pool._pool._pool if worker.pool and worker.pool._pool else ()
    return [child.pid for child in pool if child.exitcode is None]


def _stop_loading(worker: Any) -> None:
    """Kill children that still load: they have no job, and would not hear of the end before they are done."""
    if "prefork" in str(worker.pool_cls) and not _children_loaded(worker).done and worker.pool is not None:
        for child in worker.pool._pool._pool if worker.pool._pool else ():
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)


def _children_loaded(worker: Any) -> ChildrenLoaded:
    loaded: ChildrenLoaded = worker.app.tasks[TASK].children_loaded
    return loaded


def _child_ended(worker: Any) -> bool:
    return any(child.exitcode is not None for child in worker.pool._pool._pool)
