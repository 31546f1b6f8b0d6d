"""The folders of the repository are those that CONTRIBUTING.md shows, and each package says what lives in it."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.documentation import ROOT, block_after

PACKAGES = ("producer/ocrqueue", "worker/ocrqueue_worker")
DEPTHS = {
    **dict.fromkeys(PACKAGES, 2),
    "tests": 1,
    "docker": 1,
    "docs": 0,
    "requirements": 0,
    "samples": 0,
    "training": 0,
}
"""Folder -> how many levels below it are shown."""
INIT_FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))


def shown() -> list[str]:
    """The folders of the tree in CONTRIBUTING.md, by their paths."""
    paths: list[str] = []
    above: list[str] = []
    for line in block_after(ROOT / "CONTRIBUTING.md", "## Layout", "").splitlines():
        found = re.fullmatch(r"((?:    )*)(\S+)/(?: {2,}\S.*)?", line)
        assert found, f"no folder: {line!r}"
        above = [*above[: len(found[1]) // 4], found[2]]
        paths.append("/".join(above))
    return paths


def holds_files(folder: Path) -> bool:
    """Not what Python or git left behind of a folder that has moved."""
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


def folders(top: Path, depth: int) -> list[str]:
    found = [top.relative_to(ROOT).as_posix()]
    if depth:
        for path in sorted(top.iterdir()):
            if path.is_dir() and path.name != "__pycache__" and holds_files(path):
                found += folders(path, depth - 1)
    return found


def test_contributing_shows_the_folders_that_there_are() -> None:
    there = [folder for top, depth in DEPTHS.items() for folder in folders(ROOT / top, depth)]
    # data is no code
    there = [folder for folder in there if top_package(folder) is None or (ROOT / folder / "__init__.py").is_file()]
    assert sorted(shown()) == sorted(there)


def top_package(folder: str) -> str | None:
    return next((package for package in PACKAGES if folder.startswith(package)), None)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_few_modules_at_its_top(package: str) -> None:
    assert len(list((ROOT / package).glob("*.py"))) <= 10


@pytest.mark.parametrize("path", INIT_FILES, ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_a_folder_says_what_lives_there(path: Path) -> None:
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert told
    assert len(told) > 50


def test_all_tests_are_in_folders_of_their_kind() -> None:
    assert {path.name for path in (ROOT / "tests").glob("*.py")} == {"__init__.py", "conftest.py"}
    assert list((ROOT / "tests/support").rglob("test_*.py")) == []


def test_a_unit_test_starts_no_process() -> None:
    with pytest.raises(AssertionError, match="belongs in tests/integration"):
        subprocess.run(["true"], check=False)
