"""A limit on the memory of one job, so that an engine that takes too much meets a MemoryError and not the OOM killer.

RLIMIT_DATA, since Linux 4.7, counts a process's private writable memory: heap, anonymous mappings, thread stacks, data
segments (setrlimit(2); `VmData` in /proc/PID/status). Unlike RLIMIT_AS it does not count address space that is only
reserved (PROT_NONE), files and shared mappings. A GPU's driver maps more of them than the machine has memory.

The limit holds while the job is worked on and no longer: ocrqueue's own bookkeeping and Celery's never meet it. A
process that the engine starts meanwhile inherits it, and is counted by itself.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from billiard import current_process

_MIB = 1024 * 1024


@contextmanager
def job_memory_limit(mib: int) -> Iterator[None]:
    """Hold a prefork child to a job's limit in MiB (0: none). Elsewhere, where jobs share a process, there is none."""
    with held_to(allowance(mib)):
        yield


def allowance(mib: int) -> int | None:
    """Bytes of private memory that a child may have in all, see held_to, while its job may take `mib` MiB.

    None: any number.
    """
    return None if mib == 0 or not current_process().daemon else _data_bytes() + mib * _MIB


@contextmanager
def data_limit(mib: int) -> Iterator[None]:
    """Let this process take `mib` MiB of private memory more than it has now; a lower limit in force stays."""
    with held_to(_data_bytes() + mib * _MIB):
        yield


@contextmanager
def held_to(allowed_bytes: int | None) -> Iterator[None]:
    """Let this process have so much private memory (None: no limit); a lower limit in force stays."""
    if allowed_bytes is None:
        yield
        return
    before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [allowed_bytes, *(limit for limit in before if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """`VmData`: private writable memory of this process (proc_pid_status(5), in kB of 1024 bytes)."""
    descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # the kernel writes all of it in one answer
        status = os.read(descriptor, 8192)
    finally:
        os.close(descriptor)
    return int(status.partition(b"VmData:")[2].split(maxsplit=1)[0]) * 1024
