"""The sample images come out of their script as they lie in samples/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.samples import NAMES, SAMPLES, box, description


def test_script_makes_the_same_samples(tmp_path: Path) -> None:
    """Boxes may differ by a pixel or two where the fonts or FreeType have another version."""
    made = subprocess.run(
        [sys.executable, SAMPLES / "make_samples.py", tmp_path], capture_output=True, text=True, check=False
    )
    if "cannot open resource" in made.stderr:
        pytest.skip("the fonts of the samples are not installed")
    assert made.returncode == 0, made.stderr
    for name in NAMES:
        old, new = description(name), description(name, tmp_path)
        assert [word["text"] for word in new["words"]] == [word["text"] for word in old["words"]]
        assert (tmp_path / f"{name}.txt").read_bytes() == (SAMPLES / f"{name}.txt").read_bytes()
        for before, after in zip(old.pop("words"), new.pop("words"), strict=True):
            assert box(after) == pytest.approx(box(before), abs=3)
        assert new == old
