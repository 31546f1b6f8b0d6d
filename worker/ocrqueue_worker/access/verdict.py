"""What the main process's last look at the worker's access came to, known to its children: memory that they share."""

from __future__ import annotations

import mmap
import os
import time
from contextlib import suppress
from typing import Final

_WATCHED, _BROKEN, _BEGUN, _ENDED, _RECOVERIES = range(5)
_WORD: Final = 8
_LOOK_EVERY_S: Final = 0.02
_LONGEST_S: Final = 20.0
"""A look has its end long before."""
_MOST_ASKED: Final = 65_536


class Verdict:
    """Made before children are forked: mmap(2), MAP_SHARED."""

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, 5 * _WORD)).cast("Q")
        self._asked, self._asking = os.pipe()
        os.set_blocking(self._asked, False)
        os.set_blocking(self._asking, False)

    # --- in a child or thread that has a part ----------------------------------------------------------------------

    @property
    def is_broken(self) -> bool:
        """Whether the worker takes nothing, and begins nothing."""
        return self._words[_BROKEN] != 0

    @property
    def recoveries(self) -> int:
        """How often it was, and is not any more."""
        return self._words[_RECOVERIES]

    def ask(self, source: str = "") -> bool:
        """Have the main process look now, and wait for what it finds: whether the worker's own access is broken.

        `source`: scheme and bucket to be looked at too, `s3://bucket`. False where nobody looks.
        """
        if not self._words[_WATCHED]:
            return False
        begun_before = self._words[_BEGUN]
        # a full pipe has asked often enough
        with suppress(BlockingIOError):
            os.write(self._asking, source.encode(errors="replace")[:1000] + b"\n")
        deadline = time.monotonic() + _LONGEST_S
        while self._words[_ENDED] <= begun_before and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
        return self._words[_ENDED] > begun_before and self.is_broken

    # --- in the main process ---------------------------------------------------------------------------------------

    @property
    def file(self) -> int:
        """What becomes readable when somebody asks."""
        return self._asked

    def questions(self) -> set[str]:
        """The sources that were asked about since; "" where none was named."""
        try:
            return set(os.read(self._asked, _MOST_ASKED).decode(errors="replace").splitlines())
        except BlockingIOError:
            return set()

    def watch(self, watched: bool) -> None:
        """Somebody answers from now on, or nobody does."""
        self._words[_WATCHED] = int(watched)
        if not watched:
            self._words[_BROKEN] = 0

    def begin(self) -> None:
        """A look begins."""
        self._words[_BEGUN] += 1

    def end(self, *, broken: bool) -> None:
        """It has ended, and with it all questions from before it began."""
        if self.is_broken and not broken:
            self._words[_RECOVERIES] += 1
        self._words[_BROKEN] = int(broken)
        self._words[_ENDED] = self._words[_BEGUN]

    def interrupt(self) -> None:
        """Have the one who waits for questions look up."""
        with suppress(BlockingIOError):
            os.write(self._asking, b"\n")


VERDICT: Final = Verdict()
"""That of this worker."""
