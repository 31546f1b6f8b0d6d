"""Whether networks are computed fast in bfloat16, which has 8 bits for what float32 has 24 for."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU has matrix units for bfloat16: Intel's AMX, as Linux lists it."""
    try:
        return "amx_bf16" in cpuinfo.read_text("ascii", "replace").split()
    except OSError:
        return False
