"""Which CPUs have matrix units for bfloat16, by what Linux lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocrqueue_worker.engines.bfloat16 import multiplies_bfloat16


@pytest.mark.parametrize(
    ("flags", "has_units"),
    [("fpu avx512_bf16 amx_bf16 amx_tile", True), ("fpu avx512_bf16", False), ("fpu not_amx_bf16", False), ("", False)],
)
def test_a_cpu_with_amx_multiplies_bfloat16(tmp_path: Path, flags: str, has_units: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: A CPU\nflags\t\t: {flags}\n")
    assert multiplies_bfloat16(cpuinfo) is has_units


def test_where_nothing_is_listed_there_are_no_units(tmp_path: Path) -> None:
    assert not multiplies_bfloat16(tmp_path / "cpuinfo")
