"""Print on a page that is in none of its words: paler than the rest, or not seen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Page
from ocrqueue_worker.preparation.quality import misses_pale_print, reads_more
from ocrqueue_worker.preparation.repainting import with_even_ink
from ocrqueue_worker.preparation.unread_print import has_unread_print
from tests.support.documents import block_of, line_of, paragraph_of, word

FONT = ImageFont.truetype("DejaVuSans.ttf", 26)
SIZE = (1240, 700)


def sheet() -> Image.Image:
    image = Image.new("L", SIZE, 255)
    pen = ImageDraw.Draw(image)
    for row in range(10):
        pen.text((80, 40 + 60 * row), "Article", 0, FONT)
    return image


def page(confidence: float = 0.96, rows: int = 10) -> Page:
    lines = [line_of([word("Article", (78, 40 + 60 * row, 190, 74 + 60 * row), confidence)]) for row in range(rows)]
    return Page(number=1, width=SIZE[0], height=SIZE[1], blocks=(block_of([paragraph_of(lines)]),))


@pytest.mark.parametrize("level", [0, 150, 200, 225])
def test_print_beside_the_words_is_seen_however_pale(level: int) -> None:
    image = sheet()
    ImageDraw.Draw(image).text((700, 400), "in grey print", level, FONT)
    assert has_unread_print(page(), image)
    assert has_unread_print(page(), image.convert("RGB").resize((2 * SIZE[0], 2 * SIZE[1]))) is True


@pytest.mark.parametrize("other", ["nothing", "rule", "frame", "block", "circle", "shades", "specks"])
def test_what_is_no_print_is_not(other: str) -> None:
    image, chance = sheet(), np.random.default_rng(1)
    pen = ImageDraw.Draw(image)
    if other == "rule":
        pen.line((60, 90, 1180, 90), 0, 3)
    elif other == "frame":
        pen.rectangle((600, 100, 1100, 600), outline=0, width=4)
    elif other == "block":
        pen.rectangle((600, 100, 1100, 600), fill=90)
    elif other == "circle":
        pen.ellipse((600, 100, 1000, 500), outline=0, width=12)
    elif other == "shades":
        shades = Image.fromarray(chance.integers(0, 256, (10, 24), np.uint8)).resize(
            (600, 250), Image.Resampling.BICUBIC
        )
        image.paste(shades, (560, 200))
    elif other == "specks":
        for left, top in zip(chance.integers(300, 1200, 60), chance.integers(0, 690, 60), strict=True):
            pen.rectangle((left, top, left + 2, top + 2), fill=0)
    assert not has_unread_print(page(), image)


@pytest.mark.parametrize("size", [(1, 1), (31, 11), (33, 13), (3000, 2), (2, 3000)])
def test_a_page_of_any_size_is_looked_at(size: tuple[int, int]) -> None:
    assert not has_unread_print(Page(number=1, width=size[0], height=size[1]), Image.new("L", size, 255))


def test_words_that_lie_beyond_the_page_cover_what_is_on_it() -> None:
    wide = line_of([word("all", (-50.0, -50.0, 5000.0, 5000.0), 0.9)])
    assert not has_unread_print(Page(number=1, width=9, height=9, blocks=(block_of([paragraph_of([wide])]),)), sheet())


def test_only_where_the_rest_is_sure_is_it_the_print_that_is_pale() -> None:
    image = sheet()
    ImageDraw.Draw(image).text((700, 400), "in grey print", 180, FONT)
    assert misses_pale_print(page(0.95), image)
    assert not misses_pale_print(page(0.85), image)
    assert not misses_pale_print(Page(number=1, width=9, height=9), image)


def test_ink_is_black_wherever_it_is_paler_and_paper_is_white() -> None:
    image = Image.new("L", (400, 120), 240)
    pen = ImageDraw.Draw(image)
    pen.text((20, 40), "black", 10, FONT)
    pen.text((280, 40), "pale", 200, FONT)
    even = np.asarray(with_even_ink(image))
    assert even[:, :200].min() < 10
    assert even[:, 250:].min() < 10
    assert even[:30].min() == 255


@pytest.mark.parametrize(
    ("other", "more"),
    [(page(0.95, 11), True), (page(0.99, 10), False), (page(0.90, 12), False), (page(0.96, 9), False)],
)
def test_more_is_read_where_something_else_is_read_with_as_much_confidence(other: Page, *, more: bool) -> None:
    assert reads_more(other, page()) is more
    assert not reads_more(other, Page(number=1, width=9, height=9))
