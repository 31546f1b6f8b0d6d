"""Waking this process's event loop from any thread.

The pipe is the process's and stays: Celery makes its connections anew after one is lost, while threads that still work
on parts of the one before settle them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any


class Waker:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def listen(self, loop: Any) -> None:
        """Have the event loop hear; again after it was reset."""
        loop.add_reader(self._reading, self._hear)

    def wake(self) -> None:
        # a full pipe has told it often enough
        with suppress(BlockingIOError):
            os.write(self._writing, b".")

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)


WAKER = Waker()
"""That of this process."""
