"""Another engine's lines in the pieces that the recogniser reads one by one."""

from __future__ import annotations

import numpy as np
import pytest

from ocrqueue.document import Box, Line, box_of, polygon_of
from ocrqueue_worker.engines.rapid.pieces import pieces
from tests.support.documents import line_of, word


def boxes_of(line: Line) -> list[Box]:
    return [box_of([tuple((float(x), float(y)) for x, y in frame.corners)]) for frame in pieces(line)]  # type: ignore[arg-type]  # four


def line_with(*boxes: tuple[float, float, float, float], texts: str = "") -> Line:
    letters = texts.split() or ["abcd"] * len(boxes)
    return line_of([word(text, box) for text, box in zip(letters, boxes, strict=True)])


def test_words_that_stand_close_are_one_piece_with_a_margin() -> None:
    (box,) = boxes_of(line_with((100, 50, 180, 70), (190, 52, 260, 70)))
    assert box == (90, 45, 270, 75)


def test_a_wide_gap_ends_a_piece_and_each_has_half_of_it_at_most() -> None:
    one, other = boxes_of(line_with((100, 50, 180, 70), (198, 50, 260, 70)))
    assert (one, other) == ((90, 45, 189, 75), (189, 45, 270, 75))
    one, other = boxes_of(line_with((100, 50, 180, 70), (500, 50, 560, 70)))
    assert (one, other) == ((90, 45, 190, 75), (490, 45, 570, 75))


def test_pieces_are_in_reading_order_whatever_the_order_of_the_words() -> None:
    lefts = [box[0] for box in boxes_of(line_with((500, 50, 560, 70), (100, 50, 180, 70)))]
    assert lefts == sorted(lefts)


def test_a_word_whose_box_holds_another_line_does_not_make_the_others_small() -> None:
    line = line_with((100, 50, 180, 70), (190, 20, 200, 90), (210, 50, 260, 70), texts="word | word")
    (box,) = boxes_of(line)
    assert box == (90, 45, 270, 75)


def test_a_tall_word_without_part_in_the_line_is_put_into_it() -> None:
    (box,) = boxes_of(line_with((100, 50, 180, 70), (190, 80, 200, 180), texts="word |"))
    assert box == (90, 45, 210, 75)


def test_a_title_and_its_own_small_print_are_as_high_as_they_are() -> None:
    large, _small = boxes_of(line_with((100, 50, 300, 110), (500, 80, 640, 110), texts="LARGELETTERS small"))
    assert large[3] - large[1] == pytest.approx(90)


def test_a_line_without_words_is_one_piece() -> None:
    box = (10.0, 10.0, 110.0, 30.0)
    assert boxes_of(Line(words=(), polygon=polygon_of(box), bbox=box)) == [(0, 5, 120, 35)]


def test_a_line_that_runs_downwards_is_read_so() -> None:
    polygon = ((70.0, 10.0), (70.0, 110.0), (50.0, 110.0), (50.0, 10.0))
    (frame,) = pieces(Line(words=(), polygon=polygon, bbox=box_of([polygon])))
    assert np.allclose(frame.corners, [(75, 0), (75, 120), (45, 120), (45, 0)])
    assert (frame.width, frame.height) == (120, 30)


def test_a_point_is_a_piece_too() -> None:
    box = (5.0, 5.0, 5.0, 5.0)
    (frame,) = pieces(Line(words=(), polygon=polygon_of(box), bbox=box))
    assert frame.width >= 1
    assert frame.height >= 1
