"""A pytest plugin for the package of an engine: the fixture `engine_check`, once for each check of the interface.

In `pyproject.toml`, under `[tool.pytest.ini_options]`: `ocrqueue_engine = "remote"`. Then

    def test_the_engine_keeps_its_promises(engine_check):
        engine_check()

The checks run in one process of their own, which the first of them starts: pytest's imports nothing of the engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from ocrqueue_worker.engine_contract.findings import Finding

_FOUND: Final = pytest.StashKey[dict[str, "dict[str, Finding]"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "the engine that the fixture engine_check checks, by its entry point"
    parser.getgroup("ocrqueue").addoption("--ocrqueue-engine", metavar="NAME", help=about)
    parser.addini("ocrqueue_engine", about, default="")
    parser.addini("ocrqueue_engine_options", "its options, a KEY=VALUE in each line", type="linelist", default=[])
    parser.addini("ocrqueue_engine_languages", "the languages that it reads the pages of the checks in", default="")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_check" in metafunc.fixturenames:
        from ocrqueue_worker.engine_contract.running import NAMES

        metafunc.parametrize("engine_check", NAMES, indirect=True)


@pytest.fixture
def engine_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Fails the test with what is wrong; what is only advised against is a warning."""
    name: str = request.param
    config = request.config

    def check() -> None:
        engine = config.getoption("--ocrqueue-engine") or config.getini("ocrqueue_engine")
        if not engine:
            pytest.fail(
                "Say which engine: ocrqueue_engine in pytest's configuration, or --ocrqueue-engine.", pytrace=False
            )
        known = config.stash.setdefault(_FOUND, {})
        if engine not in known:
            known[engine] = _findings(engine, config)
        found = known[engine][name]
        if found.verdict == "left out":
            pytest.skip("; ".join(found.told))
        if found.is_wrong:
            pytest.fail("\n".join(found.told), pytrace=False)
        for told in found.told:
            warnings.warn(f"{engine}, {name}: {told}", pytest.PytestWarning, stacklevel=2)

    return check


def _findings(engine: str, config: pytest.Config) -> dict[str, Finding]:
    from ocrqueue.cli.exit_codes import ExitStatus
    from ocrqueue_worker.engine_contract.findings import Finding

    command = [sys.executable, "-m", "ocrqueue_worker", "engine", "check", engine, "--json"]
    command += [f"--option={pair}" for pair in config.getini("ocrqueue_engine_options")]
    command += [f"--languages={names}"] if (names := config.getini("ocrqueue_engine_languages")) else []
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # files: a process that the engine leaves behind would hold a pipe open
    with TemporaryFile("w+") as out, TemporaryFile("w+", errors="replace") as told:
        status = subprocess.run(command, stdout=out, stderr=told, check=False, env=environment).returncode
        out.seek(0)
        told.seek(0)
        found = [Finding(**json.loads(line)) for line in out]
        if not found or status not in (ExitStatus.OK, ExitStatus.FAILED):
            pytest.fail(told.read().strip() or f"{' '.join(command)} ended with status {status}.", pytrace=False)
    return {one.check: one for one in found}
