"""What apps install: the wheel without extras, in an empty virtual environment."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ocrqueue.settings import Settings
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment, worker

ROOT = Path(__file__).parents[2]
HEAVY = {"tesserocr", "pytesseract", "keras-ocr", "tensorflow", "opencv-python", "opencv-python-headless", "numpy"}

APP = """
import json, sys
from ocrqueue import OcrQueue
with OcrQueue() as queue:
    job = queue.submit(sys.argv[1])
    state = job.wait(100).state
    document = job.result()
    crop = next(document.words()).crop.open().read(4)
print(json.dumps([state, document.text, crop.hex(), sorted({name.split(".")[0] for name in sys.modules})]))
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    install = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "requirements/runtime.txt"), str(wheel)]
    subprocess.run([python, *install], check=True, capture_output=True)
    return python


def test_it_brings_no_engine_and_no_heavy_library(bare_python: Path) -> None:
    listed = subprocess.run([bare_python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True)
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "ocrqueue" in names
    assert not names & HEAVY
    assert not any(name.startswith(("prometheus", "opentelemetry")) for name in names)


def test_it_submits_a_job_and_polls_it(bare_python: Path, settings: Settings, tmp_path: Path) -> None:
    picture = tmp_path / "hello.png"
    picture.write_bytes(png(text_picture("Hello 42")))
    given = as_environment(settings)
    with worker(given, tmp_path, "--engine", "tesseract", "--concurrency", "1"):
        command = [bare_python, "-c", APP, picture]
        ran = subprocess.run(
            command, env=environment(given), cwd=tmp_path, check=False, capture_output=True, text=True, timeout=200
        )
    assert ran.returncode == 0, ran.stderr
    state, text, crop, modules = json.loads(ran.stdout)
    assert (state, text, bytes.fromhex(crop)) == ("succeeded", "Hello 42", b"\x89PNG")
    assert not {"ocrqueue_worker", "httpx", "structlog"} & set(modules)


def test_a_worker_without_its_extra_says_what_to_install(bare_python: Path, tmp_path: Path) -> None:
    command = [bare_python, "-m", "ocrqueue_worker", "--engine", "tesseract"]
    ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 2
    assert "pip install 'ocrqueue-worker[tesseract]'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_command_line_works_without_extras(bare_python: Path, tmp_path: Path) -> None:
    program = bare_python.parent / "ocrqueue"
    ran = subprocess.run([program, "--help"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=200)
    assert "submit" in ran.stdout
    schema = subprocess.run([program, "schema", "job"], cwd=tmp_path, check=True, capture_output=True, timeout=200)
    assert json.loads(schema.stdout)["title"] == "ocrqueue job"


def test_what_an_extra_brings_is_asked_for_by_name(bare_python: Path, tmp_path: Path) -> None:
    for arguments, variables, extra in (
        (["metrics", "--once"], {}, "ocrqueue[metrics]"),
        (["submit", "s3://bucket/key"], {"tracing": "otlp"}, "ocrqueue[tracing]"),
    ):
        command = [bare_python.parent / "ocrqueue", *arguments]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment(variables), check=False, capture_output=True, text=True, timeout=200
        )
        assert ran.returncode in (1, 2)
        assert f"pip install '{extra}'" in ran.stderr
        assert "Traceback" not in ran.stderr
