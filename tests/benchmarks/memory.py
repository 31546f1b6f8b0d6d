"""Resident memory of processes, and whether this one's grows."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ocrqueue_worker.limits.heap import return_freed_memory


def resident_mib(pid: int | None = None) -> float:
    """Of this process, or of another; 0 of one that has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid or os.getpid()}/statm").read_text("ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def print_resident(images: int, together: int, read: Callable[[int], object]) -> None:
    """Calls `read` with 0, 1, ... and prints this process's mean MiB after it, for so many calls together."""
    part: list[float] = []
    for number in range(1, images + 1):
        read(number - 1)
        return_freed_memory()
        part.append(resident_mib())
        if len(part) == together or number == images:
            mean = sum(part) / len(part)
            print(f"images {number - len(part) + 1} to {number}: {mean:.0f} MiB resident", flush=True)
            part.clear()
