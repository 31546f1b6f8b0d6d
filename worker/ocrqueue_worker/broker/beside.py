"""The side lanes that this worker may take from, beside its lanes: its heartbeat tells of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from ocrqueue.core.side_lanes import lane_of


class SideLanes:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: deque[str] = deque()
        self._first = False

    def note(self, names: Sequence[str]) -> bool:
        """Only these from now on. Returns whether there are new ones among them."""
        with self._lock:
            new = [name for name in names if name not in self._names]
            gone = set(self._names) - set(names)
            self._names = deque([*(name for name in self._names if name not in gone), *new])
        return bool(new)

    def with_lanes(self, lanes: Sequence[str]) -> list[str]:
        """The lanes in their order, each with its side lanes, before or after it in turns: neither starves."""
        with self._lock:
            if not self._names:
                return list(lanes)
            found = []
            for lane in lanes:
                beside = [name for name in self._names if lane_of(name) == lane]
                found += [*beside, lane] if self._first else [lane, *beside]
            return found

    def taken_from(self, name: str) -> None:
        """Something was taken there: it is another's turn."""
        with self._lock:
            self._first = not self._first
            if name in self._names:
                self._names.remove(name)
                self._names.append(name)


SIDE_LANES: Final = SideLanes()
"""Those of this process."""
