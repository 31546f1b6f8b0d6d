"""What benchmarks print of memory."""

from __future__ import annotations

import os
import re

import pytest

from tests.benchmarks.memory import print_resident, resident_mib


def test_each_image_is_read_and_those_left_over_are_printed_too(capsys: pytest.CaptureFixture[str]) -> None:
    read: list[int] = []
    print_resident(5, 2, read.append)
    assert read == [0, 1, 2, 3, 4]
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["images 1 to 2", "images 3 to 4", "images 5 to 5"]
    assert all(re.fullmatch(r".*: [1-9]\d* MiB resident", line) for line in lines)


def test_a_process_that_has_ended_has_no_memory() -> None:
    assert resident_mib() > 1
    assert resident_mib(os.getpid()) > 1
    # no process has this number
    assert resident_mib(2**22 + 1) == 0
