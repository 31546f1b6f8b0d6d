"""How much memory the processes of a worker have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(process: int) -> int | None:
    """Memory of one process, with what it shares with others (proc_pid_statm(5)); None if it is gone."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None


def worker_processes(worker: Any) -> Mapping[str, int]:
    """ "main", and of a prefork pool each place for a child, from "0" -> process id. `worker` is Celery's."""
    processes = {"main": os.getpid()}
    pool = getattr(worker.pool, "_pool", None) if "prefork" in str(worker.pool_cls) else None
    for child in list(pool._pool) if pool is not None and pool._pool else ():
        if child.pid is not None:
            processes[str(child.index)] = child.pid
    return processes


def worker_bytes(worker: Any) -> int:
    """Memory of all processes of a worker together; what they share counts in each."""
    return sum(resident_bytes(process) or 0 for process in worker_processes(worker).values())
