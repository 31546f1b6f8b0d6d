"""The time that fetching one image may take, all of it together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from ocrqueue.errors import SourceTimeout

T = TypeVar("T")


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
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:  # handed to the caller, whatever it is
                outcome.set_exception(error)

        left = self.left()
        threading.Thread(target=run, name="ocrqueue-fetch", daemon=True).start()
        try:
            return outcome.result(left)
        except TimeoutError:
            if outcome.done():
                raise
            raise self.passed() from None
