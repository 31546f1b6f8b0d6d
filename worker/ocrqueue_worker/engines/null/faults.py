"""The null engine's faults: each does what its name says to the process that it runs in."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NoReturn

from ocrqueue.errors import EngineFailed, OcrQueueError, SourceUnavailable

Fault = Literal[
    "none",
    "error",
    "retryable",
    "bug",
    "memory",
    "exhaust",
    "garbage",
    "disk_full",
    "segfault",
    "kill",
    "stall",
    "hang",
]

_CHUNK_BYTES: Final = 16 << 20
_MOST_BYTES: Final = 8 << 30
_MEMORY_PAGE_BYTES: Final = 4096


def _none() -> None:
    """No fault, or one of what is returned."""


def _error() -> OcrQueueError:
    return EngineFailed("The null engine was told to fail.")


def _retryable() -> NoReturn:
    raise SourceUnavailable("The null engine was told to fail for now.")


def _bug() -> NoReturn:
    raise ZeroDivisionError("the null engine was told to have a bug")


def _memory() -> NoReturn:
    raise MemoryError


def _exhaust() -> OcrQueueError:
    """Take memory until there is a MemoryError, or so much of it that no limit seems to be set."""
    taken: list[bytearray] = []
    while len(taken) * _CHUNK_BYTES < _MOST_BYTES:
        chunk = bytearray(_CHUNK_BYTES)
        # memory that was never written to is only promised
        chunk[::_MEMORY_PAGE_BYTES] = b"\1" * (_CHUNK_BYTES // _MEMORY_PAGE_BYTES)
        taken.append(chunk)
    return EngineFailed(f"The null engine took {_MOST_BYTES >> 30} GiB of memory, and nothing stopped it.")


def _disk_full() -> None:
    # full(4): a device that takes nothing, and says so as a full disk does
    Path("/dev/full").write_bytes(b"a page")


def _segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stall() -> None:
    time.sleep(86_400)


def _hang() -> NoReturn:
    # as a library that does not come back: deaf to the soft time limit
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    while True:
        time.sleep(3600)


FAULTS: Final[Mapping[Fault, Callable[[], OcrQueueError | None]]] = MappingProxyType(
    {
        "none": _none,
        "error": _error,
        "retryable": _retryable,
        "bug": _bug,
        "memory": _memory,
        "exhaust": _exhaust,
        "garbage": _none,
        "disk_full": _disk_full,
        "segfault": _segfault,
        "kill": _kill,
        "stall": _stall,
        "hang": _hang,
    }
)
"""A function that returns an error gives the page this error. One that returns None lets the page be read."""
