"""The measures themselves, on cases counted by hand."""

from __future__ import annotations

import pytest

from ocrqueue.document import polygon_of
from tests.support.accuracy import best_overlaps, character_error_rate, overlap, score_words


def test_words_are_counted_over_all_images() -> None:
    score = score_words([("a b b c", "b b b x"), ("d", "D d")])
    assert (score.true, score.read, score.matched) == (5, 6, 3)
    assert score.precision == pytest.approx(3 / 6)
    assert score.recall == pytest.approx(3 / 5)
    assert score.f1 == pytest.approx(2 * (1 / 2) * (3 / 5) / (1 / 2 + 3 / 5))


def test_case_counts_unless_it_is_folded() -> None:
    assert score_words([("TOTAL: Ab", "Total: Ab")]).matched == 1
    assert score_words([("TOTAL: Ab", "Total: Ab")], fold_case=True).matched == 2


def test_nothing_read_scores_zero() -> None:
    score = score_words([("a", "")])
    assert (score.precision, score.recall, score.f1) == (0, 0, 0)


@pytest.mark.parametrize(
    ("true", "read", "errors"),
    [
        ("kitten", "sitting", 3),
        ("abc", "abc", 0),
        ("a  b\nc", " a b c ", 0),
        ("abcd", "", 4),
        ("ab", "abxy", 2),
        ("a b", "ab", 1),
    ],
)
def test_character_errors(true: str, read: str, errors: int) -> None:
    assert character_error_rate(true, read) == pytest.approx(errors / len(" ".join(true.split())))


def test_overlap() -> None:
    box = polygon_of((0, 0, 10, 10))
    assert overlap(box, box) == 1
    assert overlap(box, polygon_of((5, 0, 15, 10))) == pytest.approx(50 / 150)
    assert overlap(box, polygon_of((10, 0, 20, 10))) == 0
    assert best_overlaps([box], [polygon_of((5, 0, 15, 10)), polygon_of((0, 0, 10, 5))]) == [pytest.approx(0.5)]
    assert best_overlaps([box], []) == [0]
