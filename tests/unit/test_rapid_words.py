"""Words of the rapid engine by the places of their characters along a line."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue_worker.engines.rapid.lines import found_frame, given_frame, stretch
from ocrqueue_worker.engines.rapid.networks import LineText
from ocrqueue_worker.engines.rapid.words import as_words, placed_words

CORNERS = np.array([(10, 20), (210, 20), (210, 40), (10, 40)], np.float64)


def line(text: str, places: list[float] | None = None, confidence: float = 0.9) -> LineText:
    """Characters, white space included, evenly along the line, if their places are not given."""
    if places is None:
        places = [(number + 0.5) / len(text) for number, character in enumerate(text) if not character.isspace()]
    return LineText(text, confidence, tuple(places), (confidence,) * len(text))


def test_words_are_what_stands_between_spaces_and_lie_at_their_characters() -> None:
    first, second = as_words(line("ab cde"), CORNERS, 0.75)
    assert [first.text, second.text] == ["ab", "cde"]
    assert first.polygon == ((10, 20), (76.67, 20), (76.67, 40), (10, 40))
    assert second.bbox == pytest.approx((110, 20, 210, 40), abs=0.01)
    assert [word.detection_confidence for word in (first, second)] == [0.75, 0.75]
    assert first.space_after


def test_the_confidence_is_that_of_the_words_own_characters() -> None:
    read = LineText("ab c", 0.5, (0.1, 0.3, 0.9), (0.8, 0.6, 0.1, 0.4))
    assert [word.confidence for word in placed_words(read)] == pytest.approx([0.7, 0.4])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("合計金額", ["合計金額"]),
        ("第12章", ["第", "12", "章"]),
        ("カタカナー、ひらがな。", ["カタカナー、ひらがな。"]),
        ("价格、9.00元 ok", ["价格、", "9.00", "元", "ok"]),
        ("Total:9.00", ["Total:9.00"]),
        ("「OK」", ["「OK」"]),
        ("名 前", ["名", "前"]),
    ],
)
def test_ideographs_are_words_of_their_own_without_spaces(text: str, words: list[str]) -> None:
    placed = placed_words(line(text))
    assert [word.text for word in placed] == words
    assert "".join(word.text + " " * word.space_after for word in placed).rstrip() == text


def test_a_line_without_text_has_no_words() -> None:
    assert placed_words(LineText("", 0.0, (), ())) == []
    assert placed_words(LineText("  ", 0.4, (), (0.4, 0.4))) == []


def test_what_is_read_beyond_a_short_picture_lies_at_its_end() -> None:
    first, second = placed_words(line("ab c", [0.4, 0.8, 1.6]))
    assert first.end <= second.start == second.end == 1.0


@given(st.text("ab1日の .", min_size=1, max_size=30), st.data())
def test_words_keep_the_text_and_do_not_overlap(text: str, data: st.DataObject) -> None:
    number = sum(not character.isspace() for character in text)
    places = sorted(data.draw(st.lists(st.floats(0, 1), min_size=number, max_size=number)))
    placed = placed_words(line(text, places))
    assert "".join(word.text + " " * word.space_after for word in placed).split() == text.split()
    assert all(0 <= word.start <= word.end <= 1 for word in placed)
    assert all(one.end <= other.start + 1e-9 for one, other in pairwise(placed))


def test_a_standing_line_is_read_downwards() -> None:
    quad = np.array([(50, 10), (70, 10), (70, 110), (50, 110)], np.float32)
    frame = found_frame(quad)
    assert (frame.width, frame.height) == (100, 20)
    assert stretch(frame.corners, 0, 0.5) == ((70, 10), (70, 60), (50, 60), (50, 10))
    assert stretch(frame.turned().corners, 0, 0.5) == ((50, 110), (50, 60), (70, 60), (70, 110))
    assert (given_frame(quad).width, given_frame(quad).height) == (20, 100)
