"""The time that fetching one image may take, all of it together."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from ocrqueue.errors import SourceTimeout

T = TypeVar("T")


class _Call(Generic[T]):
    """One call, and what came of it: what a Future does for one who waits, at a fifth of its cost."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: T
        self._error: BaseException | None = None
        self._is_done = threading.Lock()
        self._is_done.acquire()

    def make(self) -> None:
        """In the thread that makes it."""
        try:
            self._result = self._function()
        except BaseException as raised:  # handed to the caller, whatever it is
            self._error = raised

    def note_done(self) -> None:
        self._is_done.release()

    def wait(self, seconds: float) -> bool:
        """Whether it was done within that time."""
        return self._is_done.acquire(timeout=seconds)

    def result(self) -> T:
        """Returns or raises what the function has; once."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._result
        finally:
            # an error holds this frame, and would be held by it
            del error


class _CallingThread(threading.Thread):
    """Makes one call after the other, for whoever waits no longer than it likes."""

    def __init__(self) -> None:
        super().__init__(name="ocrqueue-fetch", daemon=True)
        self._calls: SimpleQueue[_Call[Any]] = SimpleQueue()

    def begin(self, call: _Call[Any]) -> None:
        self._calls.put(call)

    def run(self) -> None:
        while True:
            call = self._calls.get()
            call.make()
            # before the caller goes on, who may have another call to make
            _free_threads.append(self)
            call.note_done()
            # until the next call it would keep an image in memory
            del call


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
        asked = _Call(call)
        _free_thread().begin(asked)
        if not asked.wait(left):
            raise self.passed()
        return asked.result()
