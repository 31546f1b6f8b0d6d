"""CPU seconds used by a process, by Redis, by the whole machine; memory of Redis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
"""/proc counts in these."""


def process_cpu(pid: int) -> float:
    """CPU seconds since its start: utime and stime of proc_pid_stat(5)."""
    # the name, second of the fields, may contain anything
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def children_of(pid: int) -> list[int]:
    """The pids of those that its first thread has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def redis_cpu(redis: Redis) -> float:
    """CPU seconds of the thread that runs all commands, since the server's start."""
    used = cast("dict[str, Any]", redis.info("cpu"))
    return float(used["used_cpu_user_main_thread"]) + float(used["used_cpu_sys_main_thread"])


def redis_memory(redis: Redis) -> int:
    """Bytes that it has allocated, without the buffers of its clients."""
    memory = cast("dict[str, Any]", redis.info("memory"))
    return int(memory["used_memory"]) - int(memory["mem_clients_normal"])


def machine_cpu() -> float:
    """CPU seconds of all cores, by whatever they were kept busy, since the machine's start: proc_stat(5)."""
    with Path("/proc/stat").open() as stat:
        user, nice, system, _, _, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS_PER_S
