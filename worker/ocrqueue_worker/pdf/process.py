"""The worker's side of the process that runs PDFium: started at the first PDF, used again for the next."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any, Final

from ocrqueue.isolation.environment import isolated_environment
from ocrqueue_worker.pdf.protocol import Closed, receive, send

_DOCUMENTS: Final = 200
"""After so many it is replaced: what a hostile one has left in it, and its memory, are gone."""
_SLACK_S: Final = 10.0
"""It ends by itself when a question takes too long; this much later it is killed."""
_KEPT: Final = 2
"""That wait for the next PDF, where jobs share a process."""


class Lost(Exception):
    """The process has ended over a question."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__()
        self.timed_out = timed_out


class PdfProcess:
    """One such process. For one thread at a time; after Lost it is of no use."""

    def __init__(self, memory_mib: int) -> None:
        self.memory_mib = memory_mib
        self.documents = 0
        self.owner = os.getpid()
        self._socket, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ocrqueue_worker.pdf.child", str(other.fileno()), str(memory_mib)],
                pass_fds=(other.fileno(),),
                env=isolated_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    @property
    def is_usable(self) -> bool:
        return self._process.poll() is None and self.documents < _DOCUMENTS and self.owner == os.getpid()

    def ask(
        self, question: dict[str, Any], timeout_s: float, file: int | None = None
    ) -> tuple[dict[str, Any], int | None]:
        """Its answer, and the descriptor that came with it. Raises Lost.

        Whatever else interrupts it ends the process: its answer would be taken for that to the next question.
        """
        try:
            self._socket.settimeout(timeout_s + _SLACK_S)
            send(self._socket, {**question, "timeout_s": timeout_s}, file)
            return receive(self._socket)
        except (Closed, TimeoutError, ValueError) as error:
            self.end()
            timed_out = isinstance(error, TimeoutError) or self._process.returncode == -signal.SIGALRM
            raise Lost(timed_out) from None
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self._socket.close()
        try:
            # it may be at its end already, and how it ended says why
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_idle: list[PdfProcess] = []
_lock: Final = threading.Lock()


def acquire(memory_mib: int) -> PdfProcess:
    """One that waits, or a new one."""
    with _lock:
        while _idle:
            found = _idle.pop()
            if found.is_usable and found.memory_mib == memory_mib:
                return found
            if found.owner == os.getpid():
                found.end()
    return PdfProcess(memory_mib)


def release(process: PdfProcess) -> None:
    """It can be used for the next PDF."""
    with _lock:
        if process.is_usable and len(_idle) < _KEPT:
            _idle.append(process)
            return
    process.end()
