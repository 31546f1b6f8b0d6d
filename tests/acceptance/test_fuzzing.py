"""A short form of `python -m tests.faults.fuzzing`: malformed images and messages through real workers."""

from __future__ import annotations

from pathlib import Path

from tests.faults.fuzzing import run_fuzzing

_CASES = 150


def test_malformed_images_and_messages_end_with_a_code_and_harm_nobody(tmp_path: Path) -> None:
    report = run_fuzzing(seed=4, cases=_CASES, folder=tmp_path)
    assert report.problems == (), report.text()
    assert report.malformed >= _CASES
    assert {case.end for case in report.cases} >= {"failed", "partial", "dropped", "refused", "succeeded"}
    assert len({case.code for case in report.cases}) >= 8
