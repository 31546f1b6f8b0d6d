"""Pages on which nothing is written: no engine is sure of a word there, and each comes to an end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from ocrqueue import OcrQueue
from ocrqueue.document import Block, Line, Page, Paragraph, Word, polygon_of
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.discovery import make_engine
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.invented_words import doubted
from ocrqueue_worker.pipeline.page_reading import read_pages
from tests.support.pictures import png
from tests.support.processes import RedisServer, as_environment, worker
from tests.support.textless_pages import TEXTLESS


@pytest.fixture(scope="module", params=["tesseract", "rapid"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine[Any]]:
    made: Engine[Any] = make_engine(request.param, load_worker_settings())
    made.load()
    yield made
    made.close()


def sure_words(page: Page) -> list[tuple[str, float]]:
    return [(word.text, word.confidence or 0.0) for word in page.words() if (word.confidence or 0.0) > 0.5]


@pytest.mark.parametrize("name", TEXTLESS)
def test_no_word_is_invented_with_confidence(engine: Engine[Any], name: str) -> None:
    (page,) = read_pages(engine, [PageImage(1, TEXTLESS[name]())], Reading(("eng",), engine.parse_options({})), "auto")
    assert isinstance(page, Page)
    assert sure_words(page) == []


def test_nor_where_engines_are_chosen(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("textless")
    (folder / "storage").mkdir()
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"textless-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{folder}/storage",
        worker_heartbeat_s=1,
    )
    with ExitStack() as stack:
        for name in ("tesseract", "rapid"):
            stack.enter_context(
                worker(as_environment(settings), folder, "--engine", name, "-c", "1", "-n", f"{name}@%h")
            )
        queue = stack.enter_context(OcrQueue(settings))
        jobs = [
            queue.submit(png(TEXTLESS[name]()), engine="auto", languages="eng")
            for name in ("white", "dots", "blots", "plan", "curves", "strong noise")
        ]
        for job in jobs:
            document = job.result(300)
            assert document.status == "succeeded"
            assert [sure_words(page) for page in document.pages] == [[]]


# --- what is doubted -------------------------------------------------------------------------------------------------


def page_of(*words: tuple[str, float]) -> Page:
    box: Any = {"polygon": polygon_of((0, 0, 50, 20)), "bbox": (0, 0, 50, 20)}
    made = tuple(
        Word(id=f"p001-w{number:04}", text=text, confidence=sure, **box) for number, (text, sure) in enumerate(words, 1)
    )
    line = Line(words=made, confidence=0.8, **box)
    blocks = (Block(paragraphs=(Paragraph(lines=(line,), **box),), **box),)
    return Page(number=1, width=90, height=90, blocks=blocks)


@pytest.mark.parametrize(
    ("words", "languages", "is_doubted"),
    [
        ([(".", 0.84), ("se", 0.2)], ["eng"], True),
        ([(".", 0.84), ("ee", 0.56), (".", 0.7)], ["eng"], True),
        ([("●", 0.97)], ["eng"], True),
        ([("日", 0.89)], ["eng", "deu"], True),
        ([("日", 0.89)], ["jpn"], False),
        ([("日本語版", 0.89)], ["eng"], False),
        ([("5", 0.9)], ["eng"], False),
        ([("—", 0.9), ("a", 0.6)], ["eng"], False),
        ([("الف", 0.9)], ["ara"], False),
        ([(".", 0.4)], ["eng"], False),
    ],
)
def test_a_page_of_nothing_but_marks_is_doubted(
    words: list[tuple[str, float]], languages: list[str], is_doubted: bool
) -> None:
    page = page_of(*words)
    found = doubted(page, languages)
    assert (found is not page) == is_doubted
    if is_doubted:
        assert [word.confidence for word in found.words()] == [sure / 2 for _, sure in words]
        assert [line.confidence for line in found.lines()] == [0.4]
        assert found.text == page.text
