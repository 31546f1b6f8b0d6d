"""Single lines that go on to the next engine: a real worker for Tesseract and the null engine, Redis, a folder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from ocrqueue import Document, JobStatus, OcrQueue
from ocrqueue.settings import load_worker_settings
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import RedisServer, as_environment, worker

pytest_plugins = ["tests.support.server_fixtures"]

HELLO = png(text_picture("Hello queue", "of engines"))


@pytest.fixture(scope="module")
def queue(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcrQueue]:
    folder = tmp_path_factory.mktemp("lines")
    storage = folder / "storage"
    storage.mkdir()
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"lines-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{storage}",
        # Tesseract is never sure of a line, and of a page that has any always
        fallback_page_below="0",
        fallback_lines_page_below="0",
        fallback_low_share="100",
        fallback_line_below="88,tesseract=100",
    )
    arguments = ("--engine", "tesseract", "--engine", "null", "--concurrency", "1")
    with worker(as_environment(settings), folder, *arguments), OcrQueue(settings) as connected:
        yield connected


def read(queue: OcrQueue, image: bytes = HELLO, **fields: Any) -> tuple[JobStatus, Document]:
    job = queue.submit(image, engine="tesseract", fallback=["null"], **fields)
    return job.wait(100), job.result()


def crop_sizes(document: Document) -> list[tuple[int, int]]:
    sizes = []
    for word in document.words():
        assert word.crop is not None
        with Image.open(BytesIO(word.crop.open().read())) as crop:
            sizes.append(crop.size)
    return sizes


@pytest.mark.parametrize("crops", ["objects", "archive"])
def test_its_lines_are_read_again_where_they_stand(queue: OcrQueue, crops: str) -> None:
    status, document = read(queue, options={"null": {"confidence": 0.9}}, crops=crops)
    assert (status.state, status.attempts, document.text) == ("succeeded", 2, "line1\nline2")
    (page,) = document.pages
    assert (page.engine, {word.engine for word in page.words()}) == ("tesseract", {"null"})
    assert [entry.verdict for entry in page.trail] == ["lines sent on", "kept"]
    assert page.trail[0].reason == "lines with a part below 1.00: 2"
    first, second = document.trail
    assert (first.pages_sent_on, first.lines_sent_on, second.lines_sent_on) == (0, 2, 0)
    assert (first.result is None, second.result is None) == (False, True)
    alone = Document.model_validate_json(queue.storage.read_uri(first.result or ""))
    assert alone.text == "Hello queue\nof engines"
    lines = [line.bbox for line in alone.pages[0].lines()]
    assert [line.bbox for line in page.lines()] == lines
    # the null engine's words are as large as the line
    widths = [round(right - left) for left, _, right, _ in lines]
    assert all(abs(crop - width) <= 8 for (crop, _), width in zip(crop_sizes(document), widths, strict=True))


def test_what_the_next_engine_doubts_stays_as_it_was(queue: OcrQueue) -> None:
    _, document = read(queue, options={"null": {"confidence": 0.3}})
    assert document.text == "Hello queue\nof engines"
    assert {word.engine for word in document.words()} == {None}
    assert len(crop_sizes(document)) == 4


@pytest.mark.parametrize("fault", ["error", "bug"])
def test_what_the_next_engine_fails_at_stays_as_it_was(queue: OcrQueue, fault: str) -> None:
    status, document = read(queue, options={"null": {"fault": fault}})
    assert (status.state, document.text) == ("succeeded", "Hello queue\nof engines")
    assert len(crop_sizes(document)) == 4


def test_a_page_without_words_goes_on_whole_beside_the_lines_of_another(queue: OcrQueue) -> None:
    image = tiff(text_picture("Hello queue"), Image.new("L", (300, 200), 255))
    status, document = read(queue, image, options={"null": {"confidence": 0.9, "words": 3}})
    assert (status.state, [page.text for page in document.pages]) == ("succeeded", ["line1", "null1 null2 null3"])
    assert [page.engine for page in document.pages] == ["tesseract", "null"]
    first = document.trail[0]
    assert (first.pages, first.pages_sent_on, first.lines_sent_on) == (2, 1, 1)
    assert len(crop_sizes(document)) == 4


def test_pages_stay_whole_where_the_next_engine_reads_no_lines(queue: OcrQueue) -> None:
    options = {"null": {"confidence": 0.7, "words": 2}}
    job = queue.submit(HELLO, engine="null", fallback=["tesseract"], options=options)
    assert job.wait(100).engine == "null"
    (page,) = job.result().pages
    assert (page.trail[0].verdict, page.trail[0].reason) == ("kept", "mean confidence 0.70")


def test_a_worker_says_that_its_engine_reads_lines(queue: OcrQueue) -> None:
    (running,) = queue.engines()["null"]
    assert {offer.name: offer.reads_lines for offer in running.engines} == {"tesseract": False, "null": True}
