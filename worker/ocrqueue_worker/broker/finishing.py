"""Which parts are about to end, as the children that have them say: what comes next can be taken meanwhile.

Between the end of one part and the start of the next a child would be idle, for as long as it takes to hear of its end,
ask Redis, and send what was taken. Of a part that ends only the result is to be stored, and FINISH is left. What is
taken waits behind these alone, and not for long: see ocrqueue_worker.lifecycle.overdue_ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ocrqueue.core import Hold

_TOKEN_BYTES: Final = 32
_MOST: Final = 64 * 1024
"""What a pipe holds: one read has all of it."""


class Finishing:
    """A pipe into which children write tokens."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def note(self, hold: Hold) -> None:
        """In a child; elsewhere there is nobody to tell."""
        if os.getpid() != self._pid and len(hold.token) == _TOKEN_BYTES:
            # a write of so little to a pipe is never torn: pipe(7)
            with suppress(BlockingIOError):
                os.write(self._writing, hold.token.encode())

    def listen(self, loop: Any, heard: Callable[[str], None]) -> None:
        """Have the event loop of the main process call `heard` with each token; again after it was reset."""
        loop.add_reader(self._reading, self._hear, heard)

    def _hear(self, heard: Callable[[str], None]) -> None:
        with suppress(BlockingIOError):
            written = os.read(self._reading, _MOST)
            for start in range(0, len(written), _TOKEN_BYTES):
                heard(written[start : start + _TOKEN_BYTES].decode(errors="replace"))


FINISHING = Finishing()
"""That of this process and its children."""
