"""Calibrated confidences from end to end: a real worker for Tesseract and the null engine, Redis, a folder."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ocrqueue import Document, OcrQueue
from ocrqueue.calibration import Calibration, Table, read_table
from ocrqueue.cli.program import program
from ocrqueue.errors import CalibrationInvalid
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.calibration import chosen_table
from ocrqueue_worker.cli.program import worker_arguments
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, as_environment, worker

pytest_plugins = ["tests.support.server_fixtures"]

HELLO = png(text_picture("Hello queue", "of engines"))
OWN = Calibration(
    points=((0.0, 0.0), (1.0, 0.5)),
    engine="null",
    learned_on="nothing",
    languages=("eng",),
    version="1",
    pages=2,
    words=100,
    error_before=0.5,
    error=0.01,
)
Ask = Callable[..., Result]


@pytest.fixture(scope="module")
def settings(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> WorkerSettings:
    folder = tmp_path_factory.mktemp("calibration")
    storage, table = folder / "storage", folder / "own.json"
    storage.mkdir()
    table.write_text(Table(calibrations=(OWN,)).to_json())
    return load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"calibration-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{storage}",
        calibration=str(table),
        fallback_line_below="88,tesseract=100",
    )


@pytest.fixture(scope="module")
def queue(settings: WorkerSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcrQueue]:
    arguments = ("--engine", "tesseract", "--engine", "null", "--concurrency", "1")
    folder = tmp_path_factory.mktemp("worker")
    with worker(as_environment(settings), folder, *arguments), OcrQueue(settings) as connected:
        yield connected


@pytest.fixture
def ask(queue: OcrQueue) -> Ask:
    """`ocrqueue calibrate ARGUMENTS` of this installation."""
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(queue.settings).items()}

    def invoke(*arguments: object, status: int = 0) -> Result:
        result = CliRunner(env=given).invoke(program, ["calibrate", *map(str, arguments)])
        assert result.exit_code == status, result.output
        return result

    return invoke


def read(queue: OcrQueue, **fields: Any) -> Document:
    return queue.submit(HELLO, **fields).result(100)


def test_words_have_what_the_table_says_and_what_the_engine_gave(queue: OcrQueue) -> None:
    job = queue.submit(HELLO, engine="null", options={"words": 2, "confidence": 0.8})
    document = job.result(100)
    assert [(word.confidence, word.raw_confidence) for word in document.words()] == [(0.4, 0.8)] * 2
    assert document.engine.calibration == OWN.id
    assert next(document.pages[0].lines()).confidence == document.mean_confidence == job.status().mean_confidence == 0.4


def test_engines_that_the_operators_table_does_not_name_have_the_shipped_one(queue: OcrQueue) -> None:
    document = read(queue, engine="tesseract", options={"psm": 6}, crops="none")
    shipped = chosen_table("shipped").find(document.engine)
    assert shipped is not None
    assert document.engine.calibration == shipped.id
    assert [word.confidence for word in document.words()] == [
        shipped(word.raw_confidence or 0.0) for word in document.words()
    ]
    again = read(queue, engine="tesseract", options={"psm": 6}, crops="none")
    assert (again.cached, list(again.words())) == (True, list(document.words()))


@pytest.mark.parametrize(("raw", "engines"), [(0.8, ["null"]), (0.7, ["null", "tesseract"])])
def test_thresholds_of_a_route_look_at_what_the_engine_gave(queue: OcrQueue, raw: float, engines: list[str]) -> None:
    options = {"null": {"words": 4, "confidence": raw}, "tesseract": {"psm": 6}}
    document = read(queue, engine="null", fallback=["tesseract"], options=options)
    assert [step.engine for step in document.trail] == engines
    assert (document.trail[0].mean_confidence, document.pages[0].trail[0].mean_confidence) == (raw / 2, raw)


def test_lines_that_were_read_again_are_calibrated_for_the_engine_that_read_them(queue: OcrQueue) -> None:
    options = {"tesseract": {"psm": 6}, "null": {"confidence": 0.8}}
    document = read(queue, engine="tesseract", fallback=["null"], options=options, crops="none")
    assert document.text == "line1\nline2", "0.8 is text, whatever it is calibrated to"
    assert [(word.engine, word.confidence, word.raw_confidence) for word in document.words()] == [
        ("null", 0.4, 0.8)
    ] * 2
    assert document.mean_confidence == pytest.approx(0.4)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Four pages, of whose 50 words the null engine reads 40 right."""
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(text_picture(f"page {number}")))
        (tmp_path / f"{number}.txt").write_text(" ".join(f"NULL{word}" for word in range(11, 51)))
    (tmp_path / "unlabelled.png").write_bytes(HELLO)
    return tmp_path


def test_a_folder_of_labelled_pages_makes_a_table(ask: Ask, labelled: Path) -> None:
    table, diagram = labelled / "table.json", labelled / "reliability.svg"
    table.write_text(Table(calibrations=(OWN.model_copy(update={"engine": "other"}),)).to_json())
    how = ("-e", "null", "-o", "words=50", "-o", "confidence=0.95", "--fold-case", "-O", table, "--diagram", diagram)
    told = json.loads(ask(labelled, *how, "--json").stdout)
    assert (told["pages"], told["words"], told["right"]) == (4, 200, 0.8)
    assert (told["error_as_given"], told["error_now"]) == (0.15, 0.325)
    assert told["error_held_out"] < 0.01
    kept, made = read_table(table).calibrations
    assert (kept.engine, made.engine, made.learned_on, made.languages) == ("other", "null", labelled.name, ("eng",))
    assert made(0.95) == pytest.approx(0.8, abs=0.01)
    assert diagram.read_text().startswith("<svg")


def test_without_fold_case_capitals_are_others(ask: Ask, labelled: Path) -> None:
    shown = ask(labelled, "-e", "null", "-o", "words=50", "-o", "confidence=0.95", "-O", labelled / "table.json")
    assert " 0.000 " in shown.stdout
    assert "OCRQUEUE_CALIBRATION=" in shown.stderr


def test_too_little_is_refused_and_writes_nothing(ask: Ask, labelled: Path, tmp_path: Path) -> None:
    table = tmp_path / "none.json"
    refused = ask(labelled, "-e", "null", "-o", "words=3", "-O", table, status=2)
    assert "calibration.invalid" in refused.stderr
    assert "No image" in ask(labelled, "--truth", "csv", status=2).stderr
    assert not table.exists()


def test_what_is_wrong_is_told_before_anything_is_read(
    ask: Ask, labelled: Path, tmp_path: Path, queue: OcrQueue
) -> None:
    before = queue.jobs().jobs
    nowhere = tmp_path / "nowhere" / "table"
    for arguments in (("-O", nowhere), ("-O", tmp_path / "table.json", "--diagram", nowhere)):
        assert f"{nowhere} cannot be written" in ask(labelled, "-e", "null", *arguments, status=2).stderr
    (labelled / "3.txt").write_bytes(b"\xff")
    assert "3.txt is not UTF-8" in ask(labelled, "-e", "null", status=2).stderr
    assert queue.jobs().jobs == before


def test_what_one_engine_has_taught_stays_where_the_next_fails(ask: Ask, labelled: Path) -> None:
    table = labelled / "table.json"
    how = ("-e", "null", "-o", "words=50", "-o", "confidence=0.95", "-O", table, "-e", "tesseract")
    assert "tesseract has read" in ask(labelled, *how, status=2).stderr
    assert [one.engine for one in read_table(table).calibrations] == ["null"]


def test_a_worker_with_a_bad_table_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "bad.json"
    table.write_text("{}")
    monkeypatch.setattr("ocrqueue.settings.process_settings", lambda: load_worker_settings(calibration=str(table)))
    with pytest.raises(CalibrationInvalid, match=r"bad\.json is no table"):
        worker_arguments(("null",), 1, None, None)
