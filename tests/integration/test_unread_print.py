"""Print that the first engine of a route did not see, on a page whose words are all sure: real engines and Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue import OcrQueue
from ocrqueue.settings import load_worker_settings
from tests.support.pictures import png
from tests.support.processes import RedisServer, as_environment, worker

pytest_plugins = ["tests.support.server_fixtures"]

ARTICLES = ("yellow paint", "garden table", "window glass", "copper cable", "metal screws")
PRICES = ("twelve", "ninety", "eleven", "twenty", "thirty")


def bill() -> bytes:
    """A column in black and one in grey, which Tesseract does not see."""
    image = Image.new("L", (900, 500), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.truetype("DejaVuSans.ttf", 30)
    for row, (article, price) in enumerate(zip(ARTICLES, PRICES, strict=True)):
        draw.text((60, 60 + 80 * row), article, 0, font)
        draw.text((650, 60 + 80 * row), price, 190, font)
    return png(image)


@pytest.fixture(scope="module")
def queue(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcrQueue]:
    folder = tmp_path_factory.mktemp("unread")
    storage = folder / "storage"
    storage.mkdir()
    settings = load_worker_settings(
        redis_url=redis.url, key_prefix=f"unread-{uuid.uuid4().hex[:8]}:", storage=f"file://{storage}"
    )
    engines = ("--engine", "tesseract", "--engine", "rapid", "--engine", "null", "--concurrency", "1")
    with worker(as_environment(settings), folder, *engines), OcrQueue(settings) as connected:
        yield connected


def test_the_next_engine_reads_it_and_the_rest_stays(queue: OcrQueue) -> None:
    job = queue.submit(bill(), engine="tesseract", fallback=["rapid"], prepare="none")
    job.wait(200)
    document = job.result()
    assert document.text.split() == " ".join(f"{a} {p}" for a, p in zip(ARTICLES, PRICES, strict=True)).split()
    assert {word.text for word in document.words() if word.engine == "rapid"} == set(PRICES)
    first, second = document.pages[0].trail
    assert (first.verdict, first.reason) == ("lines sent on", "print in none of its words")
    assert (second.engine, second.verdict) == ("rapid", "kept")


def test_where_the_next_engine_finds_nothing_the_page_stays(queue: OcrQueue) -> None:
    job = queue.submit(bill(), engine="tesseract", fallback=["null"], prepare="none")
    job.wait(100)
    document = job.result()
    assert document.text.split() == " ".join(ARTICLES).split()
    assert [entry.verdict for entry in document.pages[0].trail] == ["lines sent on", "kept"]


def test_tesseract_alone_reads_it_with_all_print_made_black(queue: OcrQueue) -> None:
    job = queue.submit(bill(), engine="tesseract")
    job.wait(100)
    (page,) = job.result().pages
    assert sorted(word.text for word in page.words()) == sorted([*" ".join(ARTICLES).split(), *PRICES])
    assert page.preparation is not None
    assert page.preparation.steps == ("contrast",)
