"""Which of a prefork worker's children have loaded their engines, and do not leave: only these get work."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Iterable
from typing import Final

_ONE: Final = struct.Struct("=i")


class ChildrenLoaded:
    """A pipe into which each child writes its process id when its engines are loaded, or could not be; and its negative
    when it is about to be replaced."""

    def __init__(self) -> None:
        self.done = False
        """Whether the main process waits for its first children no longer."""
        self._ends: tuple[int, int] | None = None
        self._loaded: set[int] = set()

    def open(self) -> None:
        """In the main process, before it forks."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._ends = (reading, writing)

    @property
    def file(self) -> int | None:
        """What becomes readable when a child has written."""
        return self._ends[0] if self._ends else None

    def note(self) -> None:
        """In a child."""
        self._write(os.getpid())

    def note_leaving(self) -> None:
        """In a child."""
        self._write(-os.getpid())

    def _write(self, number: int) -> None:
        if self._ends is not None:
            os.write(self._ends[1], _ONE.pack(number))

    def wait(self, timeout_s: float) -> None:
        """Wait for the next to have noted it, `timeout_s` seconds at most."""
        if self._ends is not None and select.select([self._ends[0]], [], [], timeout_s)[0]:
            self.read()

    def read(self) -> None:
        """Take in what children have written."""
        if self._ends is None:
            return
        try:
            written = os.read(self._ends[0], 1024 * _ONE.size)
        except BlockingIOError:
            return
        # a write of 4 bytes to a pipe is never torn: pipe(7)
        for (number,) in _ONE.iter_unpack(written):
            self._loaded.add(number) if number > 0 else self._loaded.discard(-number)

    def among(self, pids: Iterable[int]) -> frozenset[int]:
        """Those of these processes that have loaded; others are forgotten, for their ids come again."""
        self._loaded &= set(pids)
        return frozenset(self._loaded)
