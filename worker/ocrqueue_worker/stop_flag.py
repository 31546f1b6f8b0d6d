"""Whether this worker is stopping, known to its children too: what has not begun is not to begin here any more."""

from __future__ import annotations

import mmap
from typing import Final

_FLAG: Final = mmap.mmap(-1, 1)
"""Anonymous memory that a process shares with those it forks (mmap(2), MAP_SHARED): a child reads it at no cost."""


def begin_stopping() -> None:
    """In the worker's main process."""
    _FLAG[0] = 1


def is_stopping() -> bool:
    return _FLAG[0] != 0
