"""Text that the first engine of a route did not see: where it seems to stand, and its place on the page."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Box, Line, Page
from ocrqueue_worker.engines.rapid.unseen import unseen_lines
from ocrqueue_worker.routes.found import with_found
from tests.support.documents import block_of, line_of, paragraph_of, word

SEEN = line_of([word("Article", (20, 20, 120, 44), 0.95)])


def drawn(*texts: tuple[int, int, str]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = Image.new("L", (600, 300), 255)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=28)
    for left, top, text in texts:
        pen.text((left, top), text, fill=0, font=font)
    return np.asarray(image)


def covers(box: Box, left: int, top: int) -> bool:
    return box[0] - 8 <= left <= box[2] and box[1] - 16 <= top <= box[3]


def test_print_that_was_not_seen_is_found_and_what_was_is_not() -> None:
    found = unseen_lines(drawn((20, 16, "Article"), (400, 16, "12.50"), (20, 200, "and more")), [SEEN])
    assert len(found) == 2
    assert covers(found[0].bbox, 400, 16)
    assert covers(found[1].bbox, 20, 200)
    assert all(line.words == () for line in found)


@pytest.mark.parametrize("shape", ["rule", "specks", "block"])
def test_what_is_no_print_is_not(shape: str) -> None:
    picture = drawn((20, 16, "Article")).copy()
    if shape == "rule":
        picture[150:153, 10:590] = 0
    elif shape == "block":
        picture[100:280, 200:500] = 0
    else:
        picture[np.random.default_rng(1).integers(60, 300, 300), np.random.default_rng(2).integers(0, 600, 300)] = 0
    assert unseen_lines(picture, [SEEN]) == []


def test_where_nothing_was_seen_with_confidence_no_height_is_known() -> None:
    doubtful = line_of([word("Article", (20, 20, 120, 44), 0.3)])
    assert unseen_lines(drawn((400, 16, "12.50")), [doubtful]) == []


def page_of(*lines: Line) -> Page:
    return Page(number=1, width=600, height=300, blocks=tuple(block_of([paragraph_of([line])]) for line in lines))


def test_a_price_goes_into_the_row_of_its_article() -> None:
    lower = line_of([word("below", (20, 200, 120, 224), 0.9)])
    price = line_of([word("12.50", (400, 16, 480, 46), 0.98)])
    page = with_found(page_of(SEEN, lower), [price], "rapid")
    assert page.text == "Article 12.50\n\nbelow"
    assert [each.engine for each in page.words()] == [None, "rapid", None]
    assert [each.id for each in page.words()] == ["p001-w0001", "p001-w0002", "p001-w0003"]
    first = page.blocks[0]
    assert first.bbox == first.paragraphs[0].bbox == next(page.lines()).bbox == (20, 16, 480, 46)
    assert page.blocks[1].polygon == lower.polygon


def test_a_line_of_its_own_comes_before_what_begins_below() -> None:
    lower = line_of([word("below", (20, 200, 120, 224), 0.9)])
    between = line_of([word("between", (20, 100, 120, 124), 0.9)])
    assert with_found(page_of(SEEN, lower), [between], "rapid").text == "Article\n\nbetween\n\nbelow"
    last = line_of([word("last", (20, 260, 120, 284), 0.9)])
    assert with_found(page_of(SEEN, lower), [last], "rapid").text == "Article\n\nbelow\n\nlast"


def test_what_is_not_sure_or_stands_where_words_are_is_left_out() -> None:
    doubtful = line_of([word("S", (400, 16, 480, 46), 0.6)])
    double = line_of([word("Articel", (18, 18, 122, 46), 0.99)])
    around = line_of([word("Article", (0, 0, 400, 60), 0.99)])
    page = page_of(SEEN)
    assert with_found(page, [doubtful, double, around], "rapid") == with_found(page, [], "rapid")
