"""A prefork worker takes no job, and does not announce itself, before its children have loaded their engines.

A large model takes a minute. Until then a message would wait here that another worker could answer, and whoever looks
at `ocrqueue engines` would take this one for ready.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.worker import state

from ocrqueue.core.messages import TASK

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.2


class ChildrenLoaded:
    """A pipe into which each child writes one byte when its engines are loaded, or could not be."""

    def __init__(self) -> None:
        self.done = False
        """Whether the main process waits for them no longer."""
        self._ends: tuple[int, int] | None = None

    def open(self) -> None:
        """In the main process, before it forks."""
        reading, writing = os.pipe()
        # children that replace others write too, and nobody reads that
        os.set_blocking(writing, False)
        self._ends = (reading, writing)

    def note(self) -> None:
        """In a child."""
        if self._ends is not None:
            try:
                os.write(self._ends[1], b".")
            except BlockingIOError:
                return

    def wait(self, timeout_s: float) -> int:
        """How many children have noted it by now; waits for the first, `timeout_s` seconds at most."""
        if self._ends is None or not select.select([self._ends[0]], [], [], timeout_s)[0]:
            return 0
        return len(os.read(self._ends[0], 4096))


class EnginesLoaded(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A worker bootstep between the pool and the consumer.

    A child that dies meanwhile ends the wait: Celery replaces it once its event loop runs.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.enabled = "prefork" in str(parent.pool_cls)
        if self.enabled:
            _children_loaded(parent).open()

    def start(self, parent: Any) -> None:
        begin = time.monotonic()
        deadline = begin + parent.app.conf.worker_proc_alive_timeout
        waiting = parent.concurrency
        while waiting > 0 and time.monotonic() < deadline:
            waiting -= _children_loaded(parent).wait(_LOOK_EVERY_S)
            if state.should_stop is not None or state.should_terminate is not None:
                # children that were being forked when the signal came are not dead yet
                stop_loading(parent)
                return
            if _child_ended(parent):
                break
        _children_loaded(parent).done = True
        if waiting > 0:
            _log.warning("engines are not loaded yet", children=waiting, seconds=round(time.monotonic() - begin, 1))
        else:
            _log.info("engines loaded", children=parent.concurrency, seconds=round(time.monotonic() - begin, 1))


def stop_loading(worker: Any) -> None:
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
