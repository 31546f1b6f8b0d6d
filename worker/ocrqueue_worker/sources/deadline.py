"""The time that fetching one image may take, all of it together."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from ocrqueue.errors import SourceTimeout

T = TypeVar("T")


class _CallingThread(threading.Thread):
    """Makes one call after the other, for whoever waits no longer than it likes."""

    def __init__(self) -> None:
        super().__init__(name="ocrqueue-fetch", daemon=True)
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def begin(self, call: Callable[[], T]) -> Future[T]:
        outcome: Future[T] = Future()
        self._calls.put((call, outcome))
        return outcome

    def run(self) -> None:
        while True:
            call, outcome = self._calls.get()
            try:
                result, error = call(), None
            except BaseException as raised:  # handed to the caller, whatever it is
                result, error = None, raised
            # before the caller goes on, who may have another call to make
            _free_threads.append(self)
            if error is None:
                outcome.set_result(result)
            else:
                outcome.set_exception(error)
            # until the next call these would keep an image in memory
            del call, outcome, result, error


_free_threads: deque[_CallingThread] = deque()
"""Those that wait for a call. One whose call never ends is not among them, and nobody waits for it."""

# a forked process has none of its parent's threads
os.register_at_fork(after_in_child=_free_threads.clear)


def _free_thread() -> _CallingThread:
    try:
        return _free_threads.pop()
    except IndexError:
        thread = _CallingThread()
        thread.start()
        return thread


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on time.monotonic(), `allowed` seconds after the start."""

    at: float
    allowed: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds, seconds)

    def left(self, at_most: float = float("inf")) -> float:
        """Seconds left, above 0, `at_most` at the most. Raises SourceTimeout when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise self.passed()
        return min(left, at_most)

    def passed(self) -> SourceTimeout:
        return SourceTimeout(f"The image was not fetched within {self.allowed:g} s.")

    def bound(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises, or SourceTimeout if it has not by then.

        For calls that take no timeout of their own. Such a call then goes on in its (daemon) thread until the
        system gives it up: it must have no effect that anyone would miss or mind.
        """
        left = self.left()
        outcome: Future[T] = _free_thread().begin(call)
        try:
            return outcome.result(left)
        except TimeoutError:
            if outcome.done():
                raise
            raise self.passed() from None
