"""SIGTERM, SIGQUIT, SIGHUP and Ctrl-C: the first begins the shutdown, the next ends its grace, one more is by force.

A signal's handler runs in the middle of whatever its thread does, and that may hold any lock. So the handler only
writes to a pipe, and a thread does what the signal asks for.
"""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final

from ocrqueue.settings import process_settings
from ocrqueue_worker.lifecycle.shutdown import SHUTDOWN, end_by_force

_SIGNALS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
_MOMENT: Final = struct.Struct("d")
"""Of a signal, in the pipe: its reader may come late. A pipe takes so little whole (pipe(7), PIPE_BUF)."""
_ONE_S: Final = 1.0
"""Within so many seconds several signals are one: a terminal sends one to all, and a supervisor hands it on."""


class ShutdownSignals:
    """Those of this process, and not of its children."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Made before Celery has its handlers. `clock`: seconds, since any moment."""
        self._clock = clock
        self._has_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._process = os.getpid()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def listen(self) -> None:
        """In the main thread."""
        for number in _SIGNALS:
            is_ignored = self._has_nohup and number == signal.SIGHUP
            signal.signal(number, signal.SIG_IGN if is_ignored else self._note)
        threading.Thread(target=self._heed, daemon=True, name="shutdown signals").start()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        # of a full pipe nobody needs to hear more
        with suppress(BlockingIOError):
            if os.getpid() == self._process:
                os.write(self._writing, _MOMENT.pack(self._clock()))

    def _heed(self) -> None:
        count, last = 0, 0.0
        while moment := os.read(self._reading, _MOMENT.size):
            (now,) = _MOMENT.unpack(moment)
            if count and now - last < _ONE_S:
                continue
            count, last = count + 1, now
            if count == 1:
                SHUTDOWN.begin(process_settings().shutdown_grace_s)
            elif count == 2:
                SHUTDOWN.begin(0)
            else:
                end_by_force()
