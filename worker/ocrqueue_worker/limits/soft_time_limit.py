"""The soft time limit of what this child does: it interrupts the work, and never what is told of its end.

Celery's pool sends SIGUSR1 when it is over, and its own handler raises wherever the child is just then: between Redis's
answer that a job has ended and its being counted, or in the midst of giving parts back.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from billiard.pool import soft_timeout_sighandler
from celery.exceptions import SoftTimeLimitExceeded


class SoftTimeLimit:
    """That of one message at a time. In pools that send no signal, all of this does nothing."""

    def __init__(self) -> None:
        self._may_interrupt = False
        self._is_over = False

    def begin(self) -> None:
        """A message begins. Until interrupts() its limit is only noted."""
        self._may_interrupt = self._is_over = False
        if signal.getsignal(signal.SIGUSR1) is soft_timeout_sighandler:
            # the pool sets its own after a child's last hook before its first message
            signal.signal(signal.SIGUSR1, self._note_or_raise)

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Around work. Raises SoftTimeLimitExceeded when time is up; check() tells whether it has been before."""
        with self._with(interrupting=True):
            yield

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Around what is to be done whole, within work. What was noted meanwhile is raised by the next check()."""
        with self._with(interrupting=False):
            yield

    def forget(self) -> None:
        """Of what was noted until now."""
        self._is_over = False

    def check(self) -> None:
        """Raises SoftTimeLimitExceeded where it was noted, and work may be interrupted here."""
        if self._is_over and self._may_interrupt and _is_main_thread():
            self._is_over = False
            raise SoftTimeLimitExceeded

    @contextmanager
    def _with(self, *, interrupting: bool) -> Iterator[None]:
        if not _is_main_thread():
            # signals reach the main thread alone
            yield
            return
        before, self._may_interrupt = self._may_interrupt, interrupting
        try:
            yield
        finally:
            self._may_interrupt = before

    def _note_or_raise(self, *_: object) -> None:
        if self._may_interrupt:
            raise SoftTimeLimitExceeded
        self._is_over = True


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


SOFT_TIME_LIMIT: Final = SoftTimeLimit()
"""That of this process."""
