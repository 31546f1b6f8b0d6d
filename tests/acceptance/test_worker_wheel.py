"""What machines install: each extra of the worker's wheel alone starts its engine, in an environment with no more."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from tests.support.google_vision.server import google_vision
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment, wait_until, worker
from tests.support.traces import collector
from tests.support.wheels import HEAVY, Environment, build_wheel, empty_environment, pinned

HELLO = png(text_picture("Hello 42"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of the client and of the worker."""
    folder = tmp_path_factory.mktemp("wheels")
    return build_wheel("ocrqueue", folder), build_wheel("ocrqueue-worker", folder)


@pytest.fixture(scope="module")
def bare(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("bare")
    made = empty_environment(folder / "venv")
    made.install(*wheels, constraints=pinned("runtime", folder))
    return made


def with_extra(bare: Environment, wheels: tuple[Path, Path], extra: str, pins: str, folder: Path) -> Environment:
    made = bare.copy(folder / extra)
    client, machine = wheels
    made.install("--find-links", client.parent, f"{machine}[{extra}]", constraints=pinned(pins, folder))
    if "opencv-python" in made.installed():
        # as docs/engines.md says it for servers
        made.pip("uninstall", "--quiet", "--yes", "opencv-python")
        made.install("--no-deps", "opencv-python-headless", constraints=pinned(pins, folder))
    return made


def text_read(made: Environment, engine: str, settings: WorkerSettings, folder: Path, **more: object) -> str:
    """The text of a page with `Hello 42`, as a worker from the environment reads it."""
    given = as_environment(settings) | more
    start = worker(
        given,
        folder,
        *("--engine", engine, "--concurrency", "1"),
        command=made.program("ocrqueue-worker"),
        python=made.python,
        up_within_s=300,
    )
    with start, OcrQueue(settings) as queue:
        return queue.submit(HELLO, engine=engine, cache=False).result(timeout=300).text


def test_without_an_extra_the_null_engine_reads(bare: Environment, settings: WorkerSettings, tmp_path: Path) -> None:
    assert not bare.installed() & HEAVY
    assert text_read(bare, "null", settings, tmp_path)


@pytest.mark.parametrize("engine", ["tesseract", "keras", "rapid", "vision"])
def test_an_engine_without_its_extra_says_what_to_install(engine: str, bare: Environment, tmp_path: Path) -> None:
    ran = bare.run("ocrqueue-worker", "--engine", engine, cwd=tmp_path, env=environment({}))
    assert ran.returncode == 2
    assert f"pip install 'ocrqueue-worker[{engine}]'" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("extra", "pins", "variables"),
    [
        ("tesseract", "runtime", {}),
        ("rapid", "rapid", {}),
        ("keras-onnx", "keras", {"keras_runtime": "onnx"}),
        pytest.param("keras", "keras", {"keras_device": "cpu"}, marks=pytest.mark.all),
    ],
)
def test_an_extra_alone_reads_a_page(
    extra: str,
    pins: str,
    variables: dict[str, object],
    bare: Environment,
    wheels: tuple[Path, Path],
    settings: WorkerSettings,
    tmp_path: Path,
) -> None:
    made = with_extra(bare, wheels, extra, pins, tmp_path)
    assert text_read(made, extra.partition("-")[0], settings, tmp_path, **variables).replace(" ", "") == "Hello42"


def test_the_extra_vision_alone_reads_a_page(
    bare: Environment, wheels: tuple[Path, Path], settings: WorkerSettings, tmp_path: Path
) -> None:
    """By both protocols, of which each needs packages of its own."""
    made = with_extra(bare, wheels, "vision", "images/vision", tmp_path)
    for transport in ("grpc", "rest"):
        with google_vision(transport) as google:
            more = {"vision_endpoint": google.endpoint, "vision_transport": transport}
            assert text_read(made, "vision", settings, tmp_path, **more).startswith("x")
            assert len(google.answered) == 1


def test_the_extra_tracing_alone_sends_traces(
    bare: Environment,
    wheels: tuple[Path, Path],
    settings: WorkerSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = with_extra(bare, wheels, "tracing", "dev", tmp_path)
    with ExitStack() as stack:
        taken = stack.enter_context(collector())
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", taken.url)
        assert text_read(made, "null", settings, tmp_path, tracing="otlp")
        wait_until(lambda: taken.named("recognize"), 60, "the worker's spans are sent")


@pytest.mark.all
def test_the_extra_keras_export_alone_exports_a_model(
    bare: Environment, wheels: tuple[Path, Path], tmp_path: Path
) -> None:
    made = with_extra(bare, wheels, "keras-export", "dev", tmp_path)
    ran = made.run("ocrqueue-worker", "keras", "export", "small", "--output", tmp_path / "exported", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "exported/detector.onnx").exists()
