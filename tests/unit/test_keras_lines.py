"""Words that are found become pieces of lines, and what is read of a piece becomes words at their places."""

from __future__ import annotations

import numpy as np
import pytest

from ocrqueue_worker.engines.keras import line_crops
from ocrqueue_worker.engines.keras.line_crops import batched, crop_piece, find_pieces, padded, stretched
from ocrqueue_worker.engines.keras.line_spaces import STRIDE
from ocrqueue_worker.engines.keras.line_words import line_words

ALPHABET = "ab1. "
BLANK = len(ALPHABET)


def quad(left: float, top: float, width: float, height: float, angle: float = 0.0) -> np.ndarray:
    """Turned around the page's upper left corner."""
    corners = np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)])
    x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return (corners @ np.array([(x, y), (-y, x)])).astype(np.float32)


@pytest.mark.parametrize("angle", [0.0, 8.0, -20.0])
def test_words_beside_each_other_are_a_piece_and_columns_are_not(angle: float) -> None:
    heights = 20
    quads = np.array(
        [
            quad(400, 100, 80, heights, angle),
            quad(170, 102, 60, heights, angle),
            quad(100, 100, 60, heights, angle),
            quad(100, 140, 130, heights, angle),
        ]
    )
    pieces = find_pieces(quads)
    assert sorted(piece.members for piece in pieces) == [(0,), (2, 1), (3,)]
    joined = next(piece for piece in pieces if piece.members == (2, 1))
    width, height = joined.size
    assert width == pytest.approx(130 + 2 * 0.1 * 22, abs=3)
    assert height == pytest.approx(22 * 1.2, abs=3)
    inner = joined.without_margin
    assert np.linalg.norm(inner[3] - inner[0]) == pytest.approx(22, abs=3)


def test_a_long_line_is_parted_at_its_widest_gap() -> None:
    words, left = [], 0.0
    for number in range(14):
        words.append(quad(left, 100, 40, 10))
        left += 40 + (6 if number == 7 else 3)
    pieces = find_pieces(np.array(words))
    assert [piece.members for piece in pieces] == [tuple(range(8)), tuple(range(8, 14))]
    assert all(piece.size[0] <= line_crops.MOST_WIDTH * piece.size[1] for piece in pieces)


def test_no_words_are_no_pieces() -> None:
    assert find_pieces(np.zeros((0, 4, 2), np.float32)) == []


def test_what_is_far_too_wide_or_has_no_size_is_cropped_all_the_same() -> None:
    page = np.full((50, 5000), 200, np.uint8)
    wide, nothing = find_pieces(np.array([quad(0, 10, 4900, 3), quad(7, 30, 0, 0)]))
    assert crop_piece(page, wide, 64).shape == (64, line_crops.MOST_WIDTH * 64)
    assert crop_piece(page, nothing, 64).shape[1] >= 16


def test_a_crop_shows_the_piece_upright() -> None:
    page = np.full((200, 300), 255, np.uint8)
    page[100:120, 50:60] = 0
    (piece,) = find_pieces(np.array([quad(50, 100, 100, 20)]))
    crop = crop_piece(page, piece, 64)
    dark = np.flatnonzero((crop < 128).sum(axis=0) > 20)
    scale = crop.shape[1] / piece.size[0]
    assert dark[0] == pytest.approx(2 * scale, abs=2)
    assert len(dark) == pytest.approx(10 * scale, abs=2)


def test_crops_of_like_width_go_together_and_are_padded_with_their_edge() -> None:
    crops = [np.full((8, width), width, np.uint8) for width in (60, 64, 65, 128)]
    assert batched(crops) == {64: [0, 1], 128: [2, 3]}
    stacked = padded(crops[:2], 64)
    assert stacked.shape == (2, 8, 64, 1)
    assert (stacked[0] == 60).all()


def test_little_contrast_becomes_more_and_enough_stays() -> None:
    faint = np.tile(np.linspace(120, 140, 64).astype(np.uint8), (16, 1))
    assert int(np.ptp(stretched(faint))) > 150
    strong = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (16, 1))
    assert stretched(strong) is strong


def probabilities(path: str, certainty: float = 0.96) -> np.ndarray:
    """A step a character; `-` is the blank."""
    classes = len(ALPHABET) + 1
    steps = np.full((len(path), classes), (1 - certainty) / (classes - 1), np.float32)
    for step, character in enumerate(path):
        steps[step, BLANK if character == "-" else ALPHABET.index(character)] = certainty
    return steps


def crop_with_ink(width: int, *spans: tuple[int, int]) -> np.ndarray:
    crop = np.full((32, width), 230, np.uint8)
    for left, right in spans:
        crop[8:24, left:right] = 20
    return crop


def test_words_are_what_stands_between_spaces_at_their_ink() -> None:
    path = "--ab--" + "  " + "-11-.b--"
    crop = crop_with_ink(STRIDE * len(path), (10, 22), (34, 55))
    words = line_words(probabilities(path), crop, ALPHABET)
    assert [word.text for word in words] == ["ab", "1.b"]
    assert [(word.left, word.right) for word in words] == [(10, 22), (34, 55)]
    assert all(0.5 < word.confidence <= 1 for word in words)


def test_a_space_without_paper_is_none() -> None:
    path = "--1.-" + " " + "-1---"
    (word,) = line_words(probabilities(path), crop_with_ink(STRIDE * len(path), (8, 20), (23, 40)), ALPHABET)
    assert word.text == "1.1"
    assert word.confidence > 0.5


def test_a_point_has_more_paper_around_it_than_a_letter() -> None:
    spans = (8, 18), (25, 40)  # 7 of 32 rows
    number, letters = "--1.-" + " " + "-1---", "--1a-" + " " + "-b---"
    crop = crop_with_ink(STRIDE * len(number), *spans)
    assert [word.text for word in line_words(probabilities(number), crop, ALPHABET)] == ["1.1"]
    assert [word.text for word in line_words(probabilities(letters), crop, ALPHABET)] == ["1a", "b"]


def test_wide_paper_is_a_space_that_nobody_read() -> None:
    path = "--ab-----a--"
    wide = line_words(probabilities(path), crop_with_ink(STRIDE * len(path), (8, 18), (33, 44)), ALPHABET)
    narrow = line_words(probabilities(path), crop_with_ink(STRIDE * len(path), (8, 22), (33, 44)), ALPHABET)
    assert [word.text for word in wide] == ["ab", "a"]
    assert [word.text for word in narrow] == ["aba"]


def test_an_uncertain_word_is_less_certain_than_its_neighbour() -> None:
    path = "-ab-  -ab-"
    steps = probabilities(path)
    steps[6:] = probabilities(path[6:], certainty=0.5)
    sure, unsure = line_words(steps, crop_with_ink(STRIDE * len(path), (4, 12), (28, 36)), ALPHABET)
    assert (sure.text, unsure.text) == ("ab", "ab")
    assert unsure.confidence < 0.6 * sure.confidence


@pytest.mark.parametrize("path", ["------", "      ", " - - -"])
def test_nothing_but_blanks_and_spaces_is_no_word(path: str) -> None:
    assert line_words(probabilities(path), crop_with_ink(STRIDE * len(path)), ALPHABET) == []


def test_what_the_padding_shows_is_not_read() -> None:
    path = "-a--" + "bbbb"
    (word,) = line_words(probabilities(path), crop_with_ink(STRIDE * 4, (4, 10)), ALPHABET)
    assert word.text == "a"


def test_numbers_that_are_none_and_a_crop_without_ink_are_survived() -> None:
    steps = probabilities("-ab-")
    steps[1] = np.nan
    for crop in (crop_with_ink(16), np.zeros((32, 16), np.uint8), crop_with_ink(16, (0, 16))):
        for word in line_words(steps, crop, ALPHABET):
            assert 0 <= word.left < word.right <= 16
            assert 0 <= word.confidence <= 1
