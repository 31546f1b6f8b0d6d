"""The worker's main process puts jobs back in their queues whose pause before another attempt is over.

Under RabbitMQ it also forwards what is in Redis's lists, and notes in Redis how long RabbitMQ's queues are.
"""

from __future__ import annotations

import random
import threading
from contextlib import closing, suppress
from typing import Any, Final

import structlog
from celery import bootsteps

from ocrqueue.core import Registry
from ocrqueue.core.connection import broker_errors
from ocrqueue.core.installation import all_queues
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import Settings
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
        if task.settings.broker_url is None:
            with suppress(BrokerUnavailable), broker_errors():
                # left from a time when RabbitMQ was the broker, it would count towards the queues' lengths
                task.registry.client.delete(task.registry.keys.forwarded())
        if "solo" in str(parent.controller.pool_cls) or task.settings.broker_url is not None:
            # the timer's thread is the one that reads, or a RabbitMQ that does not answer would hold it up
            threading.Thread(target=_in_thread, args=(self.stopped, task.settings), daemon=True).start()
        else:
            _in_loop(parent.timer, self.stopped, task.registry)

    def stop(self, parent: Any) -> None:
        self.stopped.set()


def _in_thread(stopped: threading.Event, settings: Settings) -> None:
    # its own connections: a child could be forked while those of others are in use
    with closing(Registry(settings)) as registry:
        pause = 0.0
        while not stopped.wait(pause):
            pause = _publish(registry)


def _in_loop(timer: Any, stopped: threading.Event, registry: Registry) -> None:
    if not stopped.is_set():
        timer.call_after(_publish(registry), _in_loop, (timer, stopped, registry), priority=10)


def _publish(registry: Registry) -> float:
    """Returns the seconds until the next time."""
    try:
        workers = registry.publish_due().workers
        if registry.outbox is not None:
            queues = all_queues(registry)
            registry.outbox.forward(queues)
            registry.outbox.lengths(queues)
    except BrokerUnavailable:
        return pause_s(1)
    except Exception as error:
        # let through, it would end this for as long as the worker lives
        _log.error("met an unexpected error", exc_info=error)
        return _LONGEST_S
    return pause_s(workers)
