"""How many cores this process may keep busy: by what its container may use, not by what the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Cores of the process's affinity, or its control group's quota where that is less, rounded up. At least 1.

    Format of the quota: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), and for version 1
    https://docs.kernel.org/scheduler/sched-bwc.html (cpu.cfs_quota_us, cpu.cfs_period_us); of the process's groups:
    https://man7.org/linux/man-pages/man7/cgroups.7.html.
    """
    cores = len(os.sched_getaffinity(0))
    quotas = [quota for group in _groups(cgroups, own) if (quota := _quota(group)) is not None]
    return max(1, min(cores, ceil(min(quotas)))) if quotas else cores


def _groups(cgroups: Path, own: Path) -> Iterator[Path]:
    """The groups that this process is in, each with those above it, as far as it sees them; and the roots.

    A container mostly sees its own group as the root, whatever its path is outside.
    """
    for line in _read(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # version 2 names no controllers
        root = cgroups / controllers if controllers else cgroups
        if not controllers or "cpu" in controllers.split(","):
            group = root / path.strip("/")
            yield from (above for above in (group, *group.parents) if above.is_relative_to(root))
    yield cgroups
    yield cgroups / "cpu"


def _quota(group: Path) -> float | None:
    """In cores. None: there is no limit ("max", or -1 in version 1), or none that can be read."""
    words = _read(group / "cpu.max").split() or [
        _read(group / "cpu.cfs_quota_us"),
        _read(group / "cpu.cfs_period_us") or "100000",
    ]
    try:
        microseconds, period = map(int, words)
        cores = microseconds / period
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
