"""Where workers are missing, what is to be installed is said by names that there are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from ocrqueue.errors import ENGINE_EXTRAS, LocalSystemFailed, how_to_install
from ocrqueue.local.system import LocalSystem
from ocrqueue_worker.cli import main as worker_program
from tests.support.documentation import ROOT


@pytest.mark.parametrize(
    ("engines", "told"),
    [
        (["tesseract"], "pip install 'ocrqueue-worker[tesseract]'."),
        (["tesseract", "keras", "tesseract"], "pip install 'ocrqueue-worker[tesseract,keras]'."),
        (["null"], "pip install ocrqueue-worker."),
        (["null", "rapid"], "pip install 'ocrqueue-worker[rapid]'."),
        (["remote"], "pip install ocrqueue-worker. It does not bring remote: install the package that does."),
        (
            ["vision", "remote"],
            "pip install 'ocrqueue-worker[vision]'. It does not bring remote: install the package that does.",
        ),
    ],
)
def test_only_an_engine_that_is_an_extra_is_asked_for_as_one(engines: list[str], told: str) -> None:
    assert how_to_install(engines) == told


def test_the_engines_that_are_extras_are_those_of_the_workers_package() -> None:
    project = tomllib.loads((ROOT / "worker/pyproject.toml").read_text(encoding="utf-8"))["project"]
    engines = set(project["entry-points"]["ocrqueue.engines"])
    assert engines & set(project["optional-dependencies"]) == ENGINE_EXTRAS
    assert engines - ENGINE_EXTRAS == {"null"}


def test_a_system_without_workers_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocrqueue.local.system.find_spec", lambda _: None)
    with pytest.raises(LocalSystemFailed) as caught, LocalSystem(tmp_path / "data", engines=["null"]):
        pass
    assert caught.value.info.remedy == "pip install ocrqueue-worker."


def test_a_worker_that_lacks_a_module_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(*_: object) -> None:
        raise ImportError("No module named 'x'")

    monkeypatch.setattr("ocrqueue_worker.cli.program.worker_arguments", lack)
    ran = CliRunner().invoke(worker_program, ["--engine", "null"])
    assert ran.exit_code == 2
    assert ran.stderr == "error: No module named 'x'. On a worker: pip install ocrqueue-worker.\n"
