"""Children that are replaced after so many jobs, one of a worker's at a time: the others work on meanwhile.

A child on a GPU takes a minute to load its model, and all of a worker's have done as many jobs at about the same time.
Billiard's own limit would end them together. Here a child that is due takes the worker's one permit, which the main
process gives back when all children have loaded their engines again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from contextlib import suppress
from typing import Final

_ONE: Final = struct.Struct("=I")


class Recycling:
    """Two pipes: the permit in the one, and in the other who leaves. A child reads and writes what it inherits."""

    def __init__(self) -> None:
        self._permit: tuple[int, int] | None = None
        self._leavers: tuple[int, int] | None = None
        self._most_jobs, self.jobs = 0, 0
        self.is_leaving = False
        """Whether this child's message is its last."""
        self._has_left: int | None = None

    # --- in the main process ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Before it forks."""
        self._permit, self._leavers = _pipe(), _pipe()
        os.write(self._permit[1], b".")

    def leaver(self, loaded: Collection[int], wanted: int) -> int | None:
        """The child that is to get nothing more. `loaded`: those that live and have loaded their engines."""
        if self._permit is None or self._leavers is None:
            return None
        if written := _read(self._leavers[0], _ONE.size):
            (self._has_left,) = _ONE.unpack(written)
        if self._has_left is not None and self._has_left not in loaded and len(loaded) >= wanted:
            self._has_left = None
            os.write(self._permit[1], b".")
        return self._has_left

    # --- in a child ------------------------------------------------------------------------------------------------

    def begin(self, most_jobs: int) -> None:
        """This child is to be replaced after so many; 0: never."""
        self._most_jobs, self.jobs, self.is_leaving = most_jobs, 0, False

    def message_begins(self, jobs: int) -> None:
        """With so many jobs. Where no other child is being replaced, the one that makes the number full is the last."""
        self.jobs += jobs
        if 0 < self._most_jobs <= self.jobs and not self.is_leaving and self._permit is not None:
            self.is_leaving = bool(_read(self._permit[0], 1))

    def message_ends(self) -> None:
        """Before the main process hears of it in any other way: it is to send nothing more here."""
        if self.is_leaving and self._leavers is not None:
            os.write(self._leavers[1], _ONE.pack(os.getpid()))


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, writing


def _read(file: int, size: int) -> bytes:
    with suppress(BlockingIOError):
        return os.read(file, size)
    return b""


RECYCLING: Final = Recycling()
"""That of this process, and of the children that it forks."""
