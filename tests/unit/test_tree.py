"""The folders of the repository are those that CONTRIBUTING.md shows, and each package says what lives in it."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.documentation import ROOT, block_after

PROJECTS = ("producer", "worker")
"""Folders of a wheel each. What is in them is shown by its whole path."""
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
IGNORED = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()]


def ignored(path: Path) -> bool:
    """Not of the repository: what git ignores by the folder's name, and git's own."""
    return path.name == ".git" or any(fnmatch(path.name, pattern) for pattern in IGNORED)


def folders(top: Path) -> list[Path]:
    """Those right below `top`, without what git leaves behind of a folder that has moved."""
    there = [path for path in sorted(top.iterdir()) if path.is_dir() and not ignored(path)]
    return [path for path in there if any(map(Path.is_file, path.iterdir())) or folders(path)]


def holds_code(folder: Path) -> bool:
    return any(folder.glob("*.py")) or any(map(holds_code, folders(folder)))


def code_folders(top: Path) -> list[Path]:
    """`top` and those at any depth below it that hold Python; the others are data."""
    return [top, *(found for path in folders(top) if holds_code(path) for found in code_folders(path))]


PACKAGES = [path for project in PROJECTS for path in folders(ROOT / project) if holds_code(path)]
CODE = [folder for package in PACKAGES for folder in code_folders(package)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def shown() -> list[str]:
    """The folders of the tree in CONTRIBUTING.md, by their paths."""
    paths: list[str] = []
    above: list[str] = []
    for line in block_after(ROOT / "CONTRIBUTING.md", "## Layout", "").splitlines():
        found = re.fullmatch(r"((?:    )*)(\S+)/ {2,}\S.*", line)
        assert found, f"no folder with what is in it: {line!r}"
        above = [*above[: len(found[1]) // 4], found[2]]
        paths.append("/".join(above))
    return paths


def test_contributing_shows_the_folders_that_there_are() -> None:
    tops = [path for path in folders(ROOT) if path.name not in PROJECTS]
    inner = [path for top in (*tops, *(ROOT / project for project in PROJECTS)) for path in folders(top)]
    assert sorted(shown()) == sorted({name_of(path) for path in (*tops, *inner, *CODE)})


@pytest.mark.parametrize("folder", CODE, ids=name_of)
def test_a_folder_with_code_is_a_package(folder: Path) -> None:
    # without the file import-linter, mypy and the tests here would pass over it
    assert (folder / "__init__.py").is_file()


def test_the_tools_know_all_packages() -> None:
    names = {path.name for path in PACKAGES}
    assert set(TOOLS["importlinter"]["root_packages"]) == names
    assert set(TOOLS["mypy"]["packages"]) == names
    assert set(TOOLS["coverage"]["run"]["source_pkgs"]) == names
    assert {path.name for project in PROJECTS for path in (ROOT / project).glob("*.py")} == set()


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_a_package_has_few_modules_at_its_top(package: Path) -> None:
    assert len(list(package.glob("*.py"))) <= 10


@pytest.mark.parametrize("folder", CODE, ids=name_of)
def test_a_folder_says_what_lives_there(folder: Path) -> None:
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert told
    assert len(told) > 50


def test_all_tests_are_in_folders_of_their_kind() -> None:
    assert {path.name for path in (ROOT / "tests").glob("*.py")} == {"__init__.py", "conftest.py"}
    assert list((ROOT / "tests/support").rglob("test_*.py")) == []


def test_a_unit_test_starts_no_process() -> None:
    with pytest.raises(AssertionError, match="belongs in tests/integration"):
        subprocess.run(["true"], check=False)
