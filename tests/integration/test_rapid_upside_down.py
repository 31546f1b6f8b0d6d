"""Pages that are turned by 180 and 270 degrees, of which RapidOCR's classifier overlooks half of the lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Page, polygon_of
from ocrqueue.job import Prepare
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.rapid import RapidEngine, RapidOptions
from ocrqueue_worker.geometry import Rotation, polygon_iou, to_original, upright
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.page_reading import read_pages

LINES = (
    "The committee met on Tuesday 14 March 2023 to discuss",
    "the annual budget of the harbour and its two lighthouses.",
    "Mr. Johnson reported that repairs will cost 12,450.00 euro",
    "and that the work should be finished before winter comes.",
    "Nobody had any objections, although Mrs. Allen asked why",
    "the paint had been bought twice from the same supplier.",
    "The secretary promised to look through all the invoices",
    "and to write a letter to the company during next week.",
    "Members who wish to see the accounts may visit the office",
    "between nine and twelve on any working day this month.",
    "The next meeting is planned for Monday 17 April at noon.",
)
WORDS = Counter(" ".join(LINES).split())


@pytest.fixture(scope="module")
def engine() -> Iterator[RapidEngine]:
    made = RapidEngine(load_worker_settings())
    made.load()
    yield made
    made.close()


def sheet(*lines: str) -> Image.Image:
    image = Image.new("RGB", (920, 120 + 42 * len(lines)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype("LiberationSans-Regular.ttf", 28)
    for number, line in enumerate(lines):
        draw.text((60, 60 + 42 * number), line, "black", font)
    return image


def read(engine: RapidEngine, image: Image.Image, prepare: Prepare = "auto", **options: bool) -> Page:
    (page,) = read_pages(engine, [PageImage(1, image)], Reading(("eng",), RapidOptions(**options)), prepare)
    assert isinstance(page, Page)
    return page


def right(page: Page) -> tuple[int, int]:
    """How many words are right, and how many wrong."""
    found = Counter(page.text.split())
    return (found & WORDS).total(), (found - WORDS).total()


@pytest.fixture(scope="module")
def as_it_is(engine: RapidEngine) -> Page:
    return read(engine, sheet(*LINES))


def test_an_upright_page_is_read_once(as_it_is: Page) -> None:
    assert right(as_it_is) == (WORDS.total(), 0)
    assert (as_it_is.rotation, as_it_is.preparation) == (0, None)


@pytest.mark.parametrize("rotation", [180, 270])
def test_a_page_upside_down_is_turned_and_read_as_the_upright_one(
    engine: RapidEngine, as_it_is: Page, rotation: Rotation
) -> None:
    image = upright(sheet(*LINES), 360 - rotation)
    page = read(engine, image)
    hits, wrong = right(page)
    assert hits >= 105
    assert wrong <= 3
    assert (page.rotation, page.width, page.height) == (rotation, *image.size)
    assert page.preparation is not None
    assert page.preparation.steps == ("rotate",)
    assert page.text == as_it_is.text
    for word, same in zip(page.words(), as_it_is.words(), strict=True):
        assert polygon_iou(word.polygon, to_original(same.polygon, rotation, *image.size)) > 0.9


@pytest.mark.parametrize("prepare", ["always", ("rotate",)])
def test_so_it_is_where_the_job_says_that_pages_are_turned(engine: RapidEngine, prepare: Prepare) -> None:
    page = read(engine, upright(sheet(*LINES[:4]), 180), prepare)
    assert page.rotation == 180
    assert page.text.split() == " ".join(LINES[:4]).split()


def test_without_preparation_lines_are_read_both_ways(engine: RapidEngine) -> None:
    """The classifier by itself leads to 51 right and 43 wrong words."""
    page = read(engine, upright(sheet(*LINES), 180), "none")
    hits, wrong = right(page)
    assert hits >= 90
    assert wrong <= 10
    assert page.rotation == 0


def test_the_page_stays_where_only_some_lines_are_upside_down(engine: RapidEngine) -> None:
    image = sheet(*LINES)
    foot = (0, 60 + 42 * 8 - 4, image.width, image.height)
    image.paste(upright(image.crop(foot), 180), foot)
    page = read(engine, image)
    assert (page.rotation, page.preparation) == (0, None)
    hits, wrong = right(page)
    assert hits >= 105
    assert wrong <= 3


def test_text_that_runs_downwards_is_no_reason_to_turn_a_page(engine: RapidEngine) -> None:
    page = read(engine, upright(sheet(*LINES[:4]), 270))
    assert (page.rotation, page.preparation) == (0, None)
    assert len(page.text.split()) == len(" ".join(LINES[:4]).split())


def test_drawings_and_noise_do_not_become_words_the_other_way_round(engine: RapidEngine) -> None:
    """Strokes like letters, which the detector takes for lines: reading them both ways adds no word."""
    chosen = np.random.default_rng(3)
    image = Image.new("L", (900, 600), 255)
    draw = ImageDraw.Draw(image)
    for row in range(8):
        x = 40
        while x < 840:
            height = int(chosen.integers(8, 30))
            points = [
                (x + int(chosen.integers(0, 18)), 50 + 65 * row + int(chosen.integers(0, height))) for _ in "four"
            ]
            draw.line(points, 0, 3)
            x += int(chosen.integers(14, 30))
    page, classified = read(engine, image, "none"), read(engine, image, "none", use_cls=False)
    assert any(classified.words())
    assert Counter(page.text.split()) <= Counter(classified.text.split())
    assert all(polygon_iou(polygon_of(word.bbox), word.polygon) > 0 for word in page.words())
