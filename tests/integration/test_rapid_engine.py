"""The rapid engine in this process: against RapidOCR called directly, against the samples, and against odd pages."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ocrqueue.document import Line, Page, polygon_of
from ocrqueue.errors import EngineOutOfMemory, EngineTimeout, OcrQueueError
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.output_checks import check_results
from ocrqueue_worker.engines.rapid import RapidEngine, RapidOptions
from ocrqueue_worker.geometry import polygon_iou
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.limits.heap import return_freed_memory
from ocrqueue_worker.limits.memory_limit import data_limit
from ocrqueue_worker.pipeline.engine_call import recognise
from tests.support.accuracy import score_words

SAMPLES = Path(__file__).parents[2] / "samples"
HEAD = (100, 40, 500, 340)
"""Of the receipt; RapidOCR enlarges strips, which take longer."""


@pytest.fixture(scope="module")
def engine() -> RapidEngine:
    """Loaded where there is no network, and nothing is written beside the models."""
    made = RapidEngine(load_worker_settings())
    folder = made.models.detector.parent
    before = sorted(folder.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", no_network)
        patch.setattr(socket.socket, "connect", no_network)
        made.load()
    assert sorted(folder.iterdir()) == before
    return made


@pytest.fixture(scope="module")
def receipt(engine: RapidEngine) -> Page:
    return read(engine, sample("receipt.jpg"))


@pytest.fixture(scope="module")
def two_columns(engine: RapidEngine) -> Page:
    return read(engine, sample("two-columns.png"))


def no_network(*arguments: object, **keywords: object) -> None:
    raise AssertionError("the network was asked")


def sample(name: str) -> Image.Image:
    with Image.open(SAMPLES / name) as opened:
        return opened.convert("RGB")


def results(engine: RapidEngine, images: Sequence[Image.Image], **options: Any) -> list[Page | OcrQueueError]:
    """As the worker takes them: looked at."""
    pages = [PageImage(number, image) for number, image in enumerate(images, 1)]
    return check_results(engine.recognize(pages, Reading(("eng",), RapidOptions(**options))), pages, "rapid")


def read(engine: RapidEngine, image: Image.Image, **options: Any) -> Page:
    (result,) = results(engine, [image], **options)
    assert isinstance(result, Page), result
    return result


def test_the_words_are_those_of_rapidocr_called_directly(receipt: Page) -> None:
    from rapidocr import RapidOCR

    lines = RapidOCR(params={"Global.log_level": "warning"})(SAMPLES / "receipt.jpg").txts
    words = Counter(" ".join(lines).split())
    assert words.total() >= 40
    assert Counter(receipt.text.split()) == words


def test_the_samples_are_read_and_words_lie_where_they_are(receipt: Page, two_columns: Page) -> None:
    for name, page, least_found in (("receipt", receipt, 0.9), ("two-columns", two_columns, 0.95)):
        image = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
        true_text = (SAMPLES / f"{name}.txt").read_text("utf-8")
        assert score_words([(true_text, page.text)]).f1 >= 0.95
        found = 0
        for true in image["words"]:
            left, right = true["polygon"][0][0], true["polygon"][1][0]
            found += any(
                max(abs(word.bbox[0] - left), abs(word.bbox[2] - right)) <= 0.3 * (word.bbox[3] - word.bbox[1])
                and polygon_iou(word.polygon, true["polygon"]) > 0.2
                for word in page.words()
            )
        assert found / len(image["words"]) >= least_found
        assert all(word.confidence and word.detection_confidence for word in page.words())


def test_the_reading_order_is_by_columns(two_columns: Page) -> None:
    assert two_columns.text.split() == (SAMPLES / "two-columns.txt").read_text("utf-8").split()


def test_an_article_and_its_price_are_one_line(receipt: Page) -> None:
    true_lines = [" ".join(line.split()) for line in (SAMPLES / "receipt.txt").read_text("utf-8").splitlines()]
    same = [line.text for line in receipt.lines() if line.text in true_lines]
    assert len(same) >= 0.8 * len([line for line in true_lines if line])
    assert receipt.layout == "inferred"
    assert [word.id for word in receipt.words()][:2] == ["p001-w0001", "p001-w0002"]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_text_is_read_in_its_direction(engine: RapidEngine, degrees: int) -> None:
    upright = sample("receipt.jpg").crop(HEAD)
    page = read(engine, upright.rotate(-degrees, expand=True))
    words = {word.text: word for word in page.words()}
    assert {"GREEN", "LANTERN", "GROCERY"} <= set(words)
    (x, y), (end_x, end_y) = words["LANTERN"].polygon[:2]
    angle = np.degrees(np.arctan2(end_y - y, end_x - x)) % 360
    assert angle == pytest.approx(degrees, abs=5)


def test_without_the_classifier_text_upside_down_is_not_turned(engine: RapidEngine) -> None:
    turned = sample("receipt.jpg").crop(HEAD).rotate(180)
    assert "LANTERN" not in read(engine, turned, use_cls=False).text


def test_print_in_black_and_white_is_not_turned_by_mistake(engine: RapidEngine) -> None:
    """Two of these ten lines, which scaling down makes coarse, the classifier takes to be upside down."""
    with Image.open(SAMPLES / "contract.tif") as opened:
        upper = opened.convert("L").crop((0, 0, 1653, 1000))
    true_text = (SAMPLES / "contract.txt").read_text("utf-8")
    read_lines = [line.text for line in read(engine, upper, max_side_len=1408).lines()]
    assert len(read_lines) >= 6
    assert set(read_lines[:-1]) <= {" ".join(line.split()) for line in true_text.splitlines()}


def test_options_reach_the_steps(engine: RapidEngine) -> None:
    image = sample("receipt.jpg").crop(HEAD)
    usual = read(engine, image)
    assert not read(engine, image, text_score=1).blocks
    assert not read(engine, image, box_thresh=0.999).blocks
    assert read(engine, image, unclip_ratio=2.5).blocks[0].bbox[3] > usual.blocks[0].bbox[3] + 1
    # options of one job do not stay for the next
    assert read(engine, image) == usual
    assert read(engine, image, max_side_len=320) != usual


def test_lines_of_another_engine_are_read_again(engine: RapidEngine) -> None:
    """Tight boxes around each true line; the words of a row with a wide gap stay apart."""
    name = "receipt"
    true_lines, words = (SAMPLES / f"{name}.txt").read_text("utf-8").splitlines(), sample_words(name)
    lines, texts = [], []
    for text in (text for text in true_lines if text.strip()):
        own = [words.pop(0) for _ in text.split()]
        boxes = np.array([word.bbox for word in own])
        box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
        lines.append(Line(polygon=polygon_of(box), bbox=box, words=tuple(own), confidence=0.1))
        texts.append(" ".join(text.split()))
    page = PageImage(1, sample("receipt.jpg").convert("L"))
    again = engine.recognize_lines(page, lines, Reading(("eng",), RapidOptions()))
    read_again = [line for line in again if isinstance(line, Line)]
    assert [line.polygon for line in read_again] == [line.polygon for line in lines]
    assert score_words(zip(texts, [line.text for line in read_again], strict=True)).f1 >= 0.95
    for line in read_again:
        assert all(polygon_iou(word.polygon, line.polygon) > 0 for word in line.words)
        assert all(one.bbox[0] < other.bbox[0] for one, other in pairwise(line.words))
        assert (line.confidence or 0) > 0.5


def test_a_line_is_read_alike_alone_and_among_others(engine: RapidEngine) -> None:
    """It gets no margin to the length of a longer one, which would take its time and change its confidences."""
    page = PageImage(1, sample("receipt.jpg").convert("L"))
    every = sorted((word.bbox for word in sample_words("receipt")), key=lambda box: box[2] - box[0])
    boxes = [every[0], every[len(every) // 2], every[-1]]
    lines = [Line(polygon=polygon_of(box), bbox=box, words=()) for box in boxes]
    reading = Reading(("eng",), RapidOptions())
    together = engine.recognize_lines(page, lines, reading)
    assert together == [engine.recognize_lines(page, [line], reading)[0] for line in lines]
    assert all(isinstance(line, Line) and line.words for line in together)


def sample_words(name: str) -> list[Any]:
    """Words of a sample as an engine would give them."""
    from ocrqueue.document import Word, box_of

    described = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))["words"]
    polygons = [tuple((float(x), float(y)) for x, y in word["polygon"]) for word in described]
    return [
        Word(id="", text=word["text"], polygon=polygon, bbox=box_of([polygon]))
        for word, polygon in zip(described, polygons, strict=True)
    ]


def test_a_line_where_nothing_stands_has_no_words(engine: RapidEngine) -> None:
    boxes = [(10.0, 10.0, 200.0, 40.0), (5.0, 5.0, 5.0, 5.0), (0.0, 0.0, 400.0, 1.0)]
    lines = [Line(polygon=polygon_of(box), bbox=box, words=()) for box in boxes]
    page = PageImage(1, Image.new("L", (400, 100), 255))
    again = engine.recognize_lines(page, lines, Reading(("eng",), RapidOptions()))
    assert [line.words for line in again if isinstance(line, Line)] == [(), (), ()]


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (1, 1)),
        Image.new("RGB", (300, 200), "white"),
        noise(500, 400),
        Image.new("L", (50_000, 1), 255),
        noise(3, 2_000),
    ],
    ids=["dot", "white", "noise", "line", "upright strip"],
)
def test_pictures_without_words_or_of_odd_shapes_are_pages_too(engine: RapidEngine, picture: Image.Image) -> None:
    with data_limit(2048):
        page = read(engine, picture)
    assert (page.width, page.height) == picture.size
    assert not page.text.strip() or picture.size == (500, 400)


def test_memory_that_runs_out_is_the_pages_error(engine: RapidEngine) -> None:
    page = PageImage(1, Image.new("L", (2000, 2000), 255))
    return_freed_memory()
    with data_limit(50):
        (result,) = recognise(engine, [page], Reading(("eng",), RapidOptions()))
    assert isinstance(result, EngineOutOfMemory)
    assert read(engine, sample("street-sign.jpg")).text


def test_time_that_runs_out_ends_between_two_steps(engine: RapidEngine) -> None:
    page = PageImage(1, sample("receipt.jpg"))
    begin = time.monotonic()
    (result,) = engine.recognize([page], Reading(("eng",), RapidOptions(), deadline=begin + 0.1))
    assert isinstance(result, EngineTimeout)
    line = Line(polygon=polygon_of((94, 60, 500, 95)), bbox=(94, 60, 500, 95), words=())
    (late,) = engine.recognize_lines(page, [line], Reading(("eng",), RapidOptions(), deadline=begin))
    assert isinstance(late, EngineTimeout)


def test_nothing_is_printed_and_errors_reach_the_log(
    engine: RapidEngine, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    RapidEngine(load_worker_settings()).load()
    read(engine, sample("street-sign.jpg"))
    logging.getLogger("RapidOCR").warning("of RapidOCR")
    assert caplog.messages == ["of RapidOCR"]
    assert capfd.readouterr() == ("", "")
