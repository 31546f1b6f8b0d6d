"""How many of a prefork worker's children have loaded their engines."""

from __future__ import annotations

import os
import select


class ChildrenLoaded:
    """A pipe into which each child writes one byte when its engines are loaded, or could not be."""

    def __init__(self) -> None:
        self.done = False
        """Whether the main process waits for them no longer."""
        self._ends: tuple[int, int] | None = None

    def open(self) -> None:
        """In the main process, before it forks."""
        reading, writing = os.pipe()
        # children that replace others write too, and nobody reads that
        os.set_blocking(writing, False)
        self._ends = (reading, writing)

    def note(self) -> None:
        """In a child."""
        if self._ends is not None:
            try:
                os.write(self._ends[1], b".")
            except BlockingIOError:
                return

    def wait(self, timeout_s: float) -> int:
        """How many children have noted it by now; waits for the first, `timeout_s` seconds at most."""
        if self._ends is None or not select.select([self._ends[0]], [], [], timeout_s)[0]:
            return 0
        return len(os.read(self._ends[0], 4096))
