"""What a busy machine adds to the time that something takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_TICK_S: Final = 0.02


@contextmanager
def time_lost() -> Iterator[Callable[[], float]]:
    """For how many seconds this process was kept from running, until it is asked: how late a clock in it was."""
    late: list[float] = []
    ended = threading.Event()

    def tick() -> None:
        before = time.monotonic()
        while not ended.wait(_TICK_S):
            now = time.monotonic()
            late.append(now - before - _TICK_S)
            before = now

    clock = threading.Thread(target=tick, daemon=True)
    clock.start()
    try:
        yield lambda: sum(late)
    finally:
        ended.set()
        clock.join()
