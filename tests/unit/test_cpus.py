"""Cores that a worker may use, by affinity and quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ocrqueue_worker.limits.cpus import usable_cores


@pytest.fixture(autouse=True)
def of_eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("0 100000", 8),
        ("100000 0", 8),
        ("none of it", 8),
        ("", 8),
    ],
)
def test_a_quota_is_rounded_up(tmp_path: Path, text: str, cores: int) -> None:
    write(tmp_path / "cpu.max", text)
    assert usable_cores(tmp_path, tmp_path / "self") == cores


@pytest.mark.parametrize(("where", "cores"), [("0::/pod/container", 3), ("0::/pod", 3), ("0::/", 6), ("", 6)])
def test_the_least_quota_of_the_groups_above_counts(tmp_path: Path, where: str, cores: int) -> None:
    write(tmp_path / "self", where)
    write(tmp_path / "pod/container/cpu.max", "max 100000")
    write(tmp_path / "pod/cpu.max", "300000 100000")
    write(tmp_path / "cpu.max", "600000 100000")
    assert usable_cores(tmp_path, tmp_path / "self") == cores


@pytest.mark.parametrize("line", ["4:cpu,cpuacct:/job", "3:memory:/other\n4:cpu,cpuacct:/job\n0::/"])
@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("250000", 3), ("50000", 1)])
def test_version_1_of_cgroups_has_a_hierarchy_for_cores(tmp_path: Path, line: str, quota: str, cores: int) -> None:
    write(tmp_path / "self", line)
    write(tmp_path / "cpu,cpuacct/job/cpu.cfs_quota_us", quota)
    write(tmp_path / "cpu,cpuacct/job/cpu.cfs_period_us", "100000")
    write(tmp_path / "memory/other/cpu.max", "100000 100000")
    assert usable_cores(tmp_path, tmp_path / "self") == cores


def test_a_container_of_version_1_sees_its_group_as_the_root(tmp_path: Path) -> None:
    write(tmp_path / "self", "4:cpu,cpuacct:/docker/0123")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "200000")
    assert usable_cores(tmp_path, tmp_path / "self") == 2


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none", tmp_path / "nor this") == 8
