"""Waking this process's event loop from any thread.

The pipe is the process's and stays: Celery makes its connections again after one is lost, while threads that still work
on parts of the one before settle them.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any


class Waker:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self._loops_thread = 0

    def listen(self, loop: Any) -> None:
        """Have the event loop hear; again after it was reset. Called in its thread."""
        self._loops_thread = threading.get_ident()
        loop.add_reader(self._reading, self._hear)

    def wake_from_elsewhere(self) -> bool:
        """Wake the loop, unless this is its own thread, where what an event has led to comes before the next round.
        Returns whether it was woken."""
        is_elsewhere = threading.get_ident() != self._loops_thread
        if is_elsewhere:
            self.wake()
        return is_elsewhere

    def wake(self) -> None:
        # a full pipe has told it often enough
        with suppress(BlockingIOError):
            os.write(self._writing, b".")

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)


WAKER = Waker()
"""That of this process."""
