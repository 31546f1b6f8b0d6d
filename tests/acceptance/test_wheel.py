"""What apps install: the client's wheel, in an empty virtual environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment, worker
from tests.support.traces import collector
from tests.support.wheels import HEAVY, Environment, build_wheel, empty_environment, pinned

MAX_BYTES = 560_000

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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel("ocrqueue", tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("bare")
    made = empty_environment(folder / "venv")
    made.install(wheel, constraints=pinned("runtime", folder))
    return made


def with_extra(bare: Environment, wheel: Path, extra: str, folder: Path) -> Environment:
    made = bare.copy(folder / extra)
    made.install(f"{wheel}[{extra}]", constraints=pinned("dev", folder))
    return made


def test_it_brings_no_worker_no_engine_and_no_heavy_library(bare: Environment, wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_BYTES
    names = bare.installed()
    assert "ocrqueue" in names
    assert not names & HEAVY
    assert not any(name.startswith(("ocrqueue-", "prometheus", "opentelemetry")) for name in names)
    ran = subprocess.run([bare.python, "-I", "-c", "import ocrqueue_worker"], check=False, capture_output=True)
    assert b"ModuleNotFoundError: No module named 'ocrqueue_worker'" in ran.stderr
    assert not (bare.folder / "bin/ocrqueue-worker").exists()


def test_it_submits_a_job_and_polls_it(bare: Environment, settings: WorkerSettings, tmp_path: Path) -> None:
    picture = tmp_path / "hello.png"
    picture.write_bytes(png(text_picture("Hello 42")))
    given = as_environment(settings)
    with worker(given, tmp_path, "--engine", "tesseract", "--concurrency", "1"):
        command = [bare.python, "-I", "-c", APP, picture]
        ran = subprocess.run(
            command, env=environment(given), cwd=tmp_path, check=False, capture_output=True, text=True, timeout=200
        )
    assert ran.returncode == 0, ran.stderr
    state, text, crop, modules = json.loads(ran.stdout)
    assert (state, text, bytes.fromhex(crop)) == ("succeeded", "Hello 42", b"\x89PNG")
    assert not {"ocrqueue_worker", "httpx", "structlog"} & set(modules)


def test_the_command_line_works_without_extras(bare: Environment, tmp_path: Path) -> None:
    assert "submit" in bare.run("ocrqueue", "--help", cwd=tmp_path).stdout
    assert json.loads(bare.run("ocrqueue", "schema", "job", cwd=tmp_path).stdout)["title"] == "ocrqueue job"


@pytest.mark.parametrize(
    ("arguments", "variables", "package"),
    [
        (["metrics", "--once"], {}, "ocrqueue[metrics]"),
        (["submit", "s3://bucket/key"], {"tracing": "otlp"}, "ocrqueue[tracing]"),
        (["local", "--engine", "rapid"], {}, "ocrqueue-worker[rapid]"),
    ],
)
def test_what_another_package_brings_is_asked_for_by_name(
    arguments: list[str], variables: dict[str, str], package: str, bare: Environment, tmp_path: Path
) -> None:
    ran = bare.run("ocrqueue", *arguments, cwd=tmp_path, env=environment(variables))
    assert ran.returncode in (1, 2)
    assert f"pip install '{package}'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_metrics_need_the_extra_metrics_and_no_more(
    bare: Environment, wheel: Path, settings: WorkerSettings, tmp_path: Path
) -> None:
    made = with_extra(bare, wheel, "metrics", tmp_path)
    ran = made.run("ocrqueue", "metrics", "--once", cwd=tmp_path, env=environment(as_environment(settings)))
    assert "\nocrqueue_up 1" in ran.stdout, ran.stderr


def test_traces_need_the_extra_tracing_and_no_more(
    bare: Environment, wheel: Path, settings: WorkerSettings, tmp_path: Path
) -> None:
    made = with_extra(bare, wheel, "tracing", tmp_path)
    with collector() as taken:
        given = environment(as_environment(settings) | {"tracing": "otlp"})
        given["OTEL_EXPORTER_OTLP_ENDPOINT"] = taken.url
        ran = made.run("ocrqueue", "submit", "s3://bucket/key", cwd=tmp_path, env=given)
        assert ran.returncode == 0, ran.stderr
        assert taken.named("submit")
