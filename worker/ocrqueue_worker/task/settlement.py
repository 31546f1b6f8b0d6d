"""What the worker's main process says to Redis of parts whose child cannot, in a thread beside the event loop.

The loop's silence would let the leases of all that runs here end. What is settled is named by its token: where the
child had said the last word already, this says nothing more.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import structlog

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue.errors import BrokerUnavailable, OcrQueueError
from ocrqueue.settings import process_settings
from ocrqueue_worker.fork_gate import FORK_GATE

_log = structlog.get_logger(__name__)

_PAUSE_S: Final = 0.5

_LONGEST_S: Final = 120.0
"""From the question to its end, with what was asked before it. Later the heartbeat does not name its parts any more."""

Step = Callable[[WorkerRegistry], object]


class Settlement:
    """Steps in the order in which they were asked for; each again until Redis answers, for as long as a lease lasts."""

    def __init__(self) -> None:
        self._steps: queue.Queue[tuple[Step, object]] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._under_way: dict[object, tuple[tuple[Hold, ...], float]] = {}
        """Parts that are being settled, and when that was asked for, by time.monotonic()."""

    def ask(self, step: Step, holds: Sequence[Hold]) -> None:
        """`holds`: the parts that it settles. Celery has forgotten them by then, and their leases are to last."""
        number = object()
        with self._lock:
            self._under_way[number] = (tuple(holds), time.monotonic())
            if self._thread is None:
                # not before there is something to do: what is forked until then has no thread to miss
                self._thread = threading.Thread(target=self._run, name="settlement", daemon=True)
                self._thread.start()
        self._steps.put((step, number))

    def holds(self) -> list[Hold]:
        """Parts that are not settled yet: a step may wait for storage for longer than a lease."""
        now = time.monotonic()
        with self._lock:
            under_way = list(self._under_way.values())
        return [hold for holds, asked_at in under_way if now - asked_at < _LONGEST_S for hold in holds]

    def is_idle(self) -> bool:
        return not self._steps.unfinished_tasks

    def finish(self, timeout_s: float) -> None:
        """Wait until all that was asked for is done, `timeout_s` seconds at most."""
        deadline = time.monotonic() + timeout_s
        while not self.is_idle() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _run(self) -> None:
        settings = process_settings()
        with closing(WorkerRegistry(settings)) as registry:
            while True:
                step, number = self._steps.get()
                try:
                    _persistently(step, registry, settings.lost_after_s)
                except OcrQueueError as error:
                    _log.warning("cannot settle a part; its lease will end", error=error.code)
                except Exception as error:
                    # let through, it would end this for as long as the worker lives
                    _log.error("met an unexpected error", exc_info=error)
                finally:
                    with self._lock:
                        del self._under_way[number]
                    self._steps.task_done()


def _persistently(step: Step, registry: WorkerRegistry, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with FORK_GATE.closed():
                step(registry)
            return
        except BrokerUnavailable:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_S)


SETTLEMENT: Final = Settlement()
"""That of this process."""
