"""Keeps a fork from coming in the middle of what a thread of the worker's main process does.

A child has the locks of the moment in which it was forked, and none of the threads that would free them: where it wants
one that a thread held, it waits forever. A fork waits for a moment here; then it comes all the same, as it holds up the
worker's event loop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PATIENCE_S: Final = 1.0


class ForkGate:
    """One for a process. Threads that use what its children use too are inside `closed()` meanwhile."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._is_empty = threading.Condition(self._lock)
        self._may_enter = threading.Condition(self._lock)
        self._inside = 0
        self._forks = 0
        """Under way, or waiting for those who are inside."""
        self._waited_in_vain = False
        """For one who is inside still: a pool that replaces all its children is held up once, not for each of them."""

    @contextmanager
    def closed(self) -> Iterator[None]:
        """For a thread's work: a fork waits for its end. Several threads may be inside at once.

        None is to wait inside for another one that is about to come in.
        """
        with self._lock:
            self._may_enter.wait_for(lambda: not self._forks)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._waited_in_vain = False
                    self._is_empty.notify_all()

    def before_fork(self) -> None:
        """Nobody comes in from now on, and those who are inside have a moment to end."""
        with self._lock:
            self._forks += 1
            if not self._waited_in_vain:
                self._waited_in_vain = not self._is_empty.wait_for(lambda: not self._inside, _PATIENCE_S)

    def after_fork_in_parent(self) -> None:
        with self._lock:
            self._forks -= 1
            if not self._forks:
                self._may_enter.notify_all()

    def after_fork_in_child(self) -> None:
        """The threads that were inside are not in this process, nor is one that had the lock for a moment."""
        self._reset()


FORK_GATE: Final = ForkGate()
"""That of this process."""

os.register_at_fork(
    before=FORK_GATE.before_fork,
    after_in_parent=FORK_GATE.after_fork_in_parent,
    after_in_child=FORK_GATE.after_fork_in_child,
)
