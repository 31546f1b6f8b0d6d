"""The worker's main process puts jobs back in their queues whose pause before another attempt is over."""

from __future__ import annotations

import random
import threading
from typing import Any, Final

import structlog
from celery import bootsteps

from ocrqueue.core import Registry
from ocrqueue.errors import BrokerUnavailable
from ocrqueue_worker.task.recognize import RecognizeTask

_log = structlog.get_logger(__name__)

_TOGETHER_EVERY_S: Final = 0.5
"""How often all workers together ask Redis, however many they are: so much longer than its pause a retry waits."""
_LONGEST_S: Final = 5.0
"""The same for one worker: what a retry waits at most if the others were lost at once."""


def pause_s(workers: int) -> float:
    """Until one of so many workers asks again."""
    return min(_LONGEST_S, _TOGETHER_EVERY_S * max(1, workers)) * random.uniform(0.5, 1.5)  # noqa: S311  # spreads load


class DueRetries(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.stopped = threading.Event()

    def start(self, parent: Any) -> None:
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        self.stopped = threading.Event()
        if "solo" in str(parent.controller.pool_cls):
            # the timer's thread is the one that reads
            threading.Thread(target=_in_thread, args=(self.stopped, task.registry), daemon=True).start()
        else:
            _in_loop(parent.timer, self.stopped, task.registry)

    def stop(self, parent: Any) -> None:
        self.stopped.set()


def _in_thread(stopped: threading.Event, registry: Registry) -> None:
    while not stopped.wait(_publish(registry)):
        pass


def _in_loop(timer: Any, stopped: threading.Event, registry: Registry) -> None:
    if not stopped.is_set():
        timer.call_after(_publish(registry), _in_loop, (timer, stopped, registry), priority=10)


def _publish(registry: Registry) -> float:
    """Returns the seconds until the next time."""
    try:
        return pause_s(registry.publish_due().workers)
    except BrokerUnavailable:
        return pause_s(1)
    except Exception as error:
        # let through, it would end this for as long as the worker lives
        _log.error("met an unexpected error", exc_info=error)
        return _LONGEST_S
