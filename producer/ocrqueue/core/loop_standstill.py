"""Whether an event loop was kept from running while something was awaited: by other work in it, or by a busy machine.

When it goes on, asyncio cancels what has waited for too long before it hands over an answer that has come meanwhile: a
timeout then says nothing of who was asked.
"""

from __future__ import annotations

import asyncio
from typing import Final

_TICKS: Final = 8


class LoopStandstill:
    """A context in which a timer rings, for the first `within_s` seconds; `late_s` is by how much it was late."""

    __slots__ = ("_due", "_left", "_loop", "_tick_s", "_timer", "late_s")

    def __init__(self, within_s: float) -> None:
        self.late_s = 0.0
        self._tick_s = within_s / _TICKS
        self._left = _TICKS

    def __enter__(self) -> LoopStandstill:
        self._loop = asyncio.get_running_loop()
        self._set()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _set(self) -> None:
        self._due = self._loop.time() + self._tick_s
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self.late_s += self._loop.time() - self._due
        self._left -= 1
        if self._left:
            self._set()
