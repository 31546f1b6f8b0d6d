"""Spaces, colons and forms that rapid's recogniser swallows or mistakes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue_worker.engines.rapid.lines import given_frame
from ocrqueue_worker.engines.rapid.marks import with_colon_after, with_colons
from ocrqueue_worker.engines.rapid.networks import LineText
from ocrqueue_worker.engines.rapid.scaling import Pixels
from ocrqueue_worker.engines.rapid.scripts import normalised
from ocrqueue_worker.engines.rapid.spacing import evidence_of, with_spaces

HEIGHT = 48
STEP = 24
"""From one letter of a drawn line to the next, in pixels; each is a bar 16 wide."""


def drawn(text: str, gaps: dict[int, int], chance: float = 0.0) -> tuple[LineText, Pixels]:
    """What was read of a line of bars for letters, and its picture; after some of them are so many pixels more."""
    lefts, left = [], 8
    letters = [character for character in text if not character.isspace()]
    for place in range(len(letters)):
        lefts.append(left)
        left += STEP + gaps.get(place, 0)
    picture = np.full((HEIGHT, left + 8, 3), 255, np.uint8)
    for start in lefts:
        picture[10:38, start : start + 16] = 20
    places = tuple((start + 8) / picture.shape[1] for start in lefts)
    spaces = tuple(chance if place in gaps else 0.0 for place in range(len(letters) - 1))
    return LineText(text, 0.9, places, (0.9,) * len(text), spaces), picture


def test_a_gap_that_the_recogniser_half_saw_is_a_space() -> None:
    line = with_spaces(*drawn("JALANAIR", {4: 10}, chance=0.1))
    assert line.text == "JALAN AIR"
    assert len(line.confidences) == 9
    assert line.confidences[5] == pytest.approx(0.1)
    assert len(line.places) == 8


@pytest.mark.parametrize(
    ("text", "gaps", "chance"),
    [
        ("JALANAIR", {}, 0.0),
        ("JALANAIR", {4: 1}, 0.0),
        ("20171141", {3: 4}, 0.001),
        ("合計金額", {1: 12}, 0.4),
    ],
    ids=["no gap", "a pixel", "within a number", "ideographs"],
)
def test_where_little_speaks_for_it_no_space_is_put(text: str, gaps: dict[int, int], chance: float) -> None:
    line, picture = drawn(text, gaps, chance)
    assert with_spaces(line, picture) == line


def test_groups_of_digits_stay_groups() -> None:
    line, picture = drawn("4821 7730", {3: 12}, chance=0.99)
    assert with_spaces(line, picture).text == "4821 7730"
    line, picture = drawn("48217730", {3: 14}, chance=0.4)
    assert with_spaces(line, picture).text == "4821 7730"


def test_white_on_black_has_the_same_gaps() -> None:
    line, picture = drawn("JALANAIR", {4: 10}, chance=0.1)
    assert [one.gap for one in evidence_of(line, 255 - picture)] == [one.gap for one in evidence_of(line, picture)]


def test_gaps_of_few_pixels_say_nothing() -> None:
    line, picture = drawn("JALANAIR", {4: 10}, chance=0.1)
    assert with_spaces(line, cv2.resize(picture, None, fx=0.25, fy=0.25)) == line


@given(st.text("a1:( ", max_size=12), st.data())
def test_nothing_but_spaces_is_added(text: str, data: st.DataObject) -> None:
    count = sum(not character.isspace() for character in text)
    places = sorted(data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)))
    spaces = data.draw(st.lists(st.floats(0, 1), min_size=max(0, count - 1), max_size=max(0, count - 1)))
    line = LineText(text, 0.5, tuple(places), (0.5,) * len(text), tuple(spaces))
    noise = np.random.default_rng(count).integers(0, 256, (20, 90, 3), np.uint8)
    spaced = with_spaces(line, noise)
    assert spaced.text.replace(" ", "") == text.replace(" ", "")
    assert len(spaced.confidences) == len(spaced.text)


# --- colons -----------------------------------------------------------------------------------------------------------


def page_with(*boxes: tuple[int, int, int, int], paper: int = 255, ink: int = 30) -> Pixels:
    """left, top, right, bottom of what is inked; the line's frame is `FRAME`."""
    pixels = np.full((120, 400, 3), paper, np.uint8)
    for place in range(6):
        pixels[45:75, 110 + 20 * place : 122 + 20 * place] = ink
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = ink
    return pixels


FRAME = given_frame(np.array([(100, 40), (235, 40), (235, 80), (100, 80)], np.float32))
DOTS = ((250, 52, 254, 56), (250, 70, 254, 74))


def test_a_colon_beside_a_line_is_taken_into_its_frame() -> None:
    for pixels in (page_with(*DOTS), page_with(*DOTS, paper=40, ink=230)):
        widened = with_colons(pixels, FRAME)
        assert widened.corners[1][0] == pytest.approx(254 + 6, abs=2)
        assert widened.corners[0][0] == 100
        assert widened.width == pytest.approx(FRAME.width + 25, abs=2)


def test_a_colon_to_the_left_is_too() -> None:
    widened = with_colons(page_with((80, 52, 84, 56), (80, 70, 84, 74)), FRAME)
    assert widened.corners[0][0] == pytest.approx(80 - 6, abs=2)
    assert widened.corners[1][0] == 235


def test_a_colon_between_two_pieces_of_a_line_is_the_left_ones() -> None:
    before, after = ((80, 52, 84, 56), (80, 70, 84, 74)), DOTS
    widened = with_colon_after(page_with(*before, *after), FRAME)
    assert (widened.corners[0][0], widened.corners[1][0]) == (100, pytest.approx(254 + 6, abs=2))
    assert with_colon_after(page_with(*before), FRAME) is FRAME


@pytest.mark.parametrize(
    "boxes",
    [
        (),
        (DOTS[0],),
        (*DOTS, (258, 45, 270, 75)),
        ((250, 40, 252, 80),),
        ((250, 52, 270, 56), (250, 70, 270, 74)),
        ((330, 52, 334, 56), (330, 70, 334, 74)),
    ],
    ids=["nothing", "one dot", "part of a word", "a rule", "an equals sign", "too far"],
)
def test_what_is_no_colon_stays_outside(boxes: tuple[tuple[int, int, int, int], ...]) -> None:
    assert with_colons(page_with(*boxes), FRAME) is FRAME


# --- forms ------------------------------------------------------------------------------------------------------------


def wide(text: str) -> str:
    """With full-width forms."""
    return "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text)


@pytest.mark.parametrize(
    ("text", "languages", "written"),
    [
        (f"Amt{wide('(RM):5,')}0", ("eng",), "Amt(RM):5,0"),
        (wide("敬请厚谅(谢谢)"), ("eng",), wide("敬请厚谅(谢谢)")),
        (f"TOTAL{wide('(1)')} 元", ("eng",), "TOTAL(1) 元"),
        (wide("第(1)章"), ("jpn",), wide("第(1)章")),
        (wide("AB(1)"), ("jpn", "eng"), "AB(1)"),
        ("plain (1): é", ("fra",), "plain (1): é"),
        ("￥500", ("eng",), "¥500"),
    ],
)
def test_full_width_forms_are_latin_in_latin_text(text: str, languages: tuple[str, ...], written: str) -> None:
    assert normalised(text, languages) == written
    assert len(normalised(text, languages)) == len(text)
