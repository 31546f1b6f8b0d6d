"""The words of a line from what a recogniser of lines computes for each of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.engines.keras.ctc_decoding import Floats
from ocrqueue_worker.engines.keras.line_spaces import (
    STRIDE,
    Character,
    Ink,
    best_path,
    column,
    ink_columns,
    parted,
    word_edges,
)
from ocrqueue_worker.engines.keras.word_forms import read_words_by_form

_LEAST_WIDTH: Final = 0.1
"""Of a word in heights of its line, where no ink is found."""


@dataclass(frozen=True, slots=True)
class LineWord:
    """A word of a line, from `left` to `right` in columns of the line's crop."""

    text: str
    confidence: float
    left: float
    right: float


def line_words(probabilities: Floats, crop: NDArray[np.uint8], alphabet: str) -> list[LineWord]:
    """What stands apart, from left to right.

    `probabilities` is steps x (alphabet + 1), the blank last; `crop` is height x width, grey, without padding.
    """
    steps = min(len(probabilities), max(1, -(-crop.shape[1] // STRIDE)))
    probabilities = np.nan_to_num(probabilities[:steps])
    ink, height = ink_columns(crop), crop.shape[0]
    words = parted(best_path(probabilities), ink, height, alphabet)
    if not words:
        return []
    read = read_words_by_form(_alone(probabilities, words, alphabet), alphabet)
    edges = word_edges(words, ink)
    found = []
    for number, (text, confidence) in enumerate(read):
        if text and confidence is not None:
            left, right = _extent(ink, edges[number], edges[number + 1], words[number], height)
            found.append(LineWord(text, confidence, left, right))
    return found


def _alone(probabilities: Floats, words: list[list[Character]], alphabet: str) -> Floats:
    """n x steps x classes: each word's steps, and those to its neighbours' middle, with certain blanks behind."""
    blank = probabilities.shape[1] - 1
    spaces = [label for label, character in enumerate(alphabet) if character.isspace()]
    parts = []
    for number, word in enumerate(words):
        first = (words[number - 1][-1].last + word[0].first + 1) // 2 if number else 0
        last = (word[-1].last + words[number + 1][0].first) // 2 if number + 1 < len(words) else len(probabilities)
        # a space beside the word is a word's end, one within it none: both as good as a blank
        part = probabilities[min(first, word[0].first) : max(last, word[-1].last + 1)].copy()
        part[:, blank] += part[:, spaces].sum(axis=1)
        part[:, spaces] = 0
        parts.append(part)
    alone = np.zeros((len(words), max(map(len, parts)), blank + 1), np.float32)
    alone[:, :, blank] = 1
    for number, part in enumerate(parts):
        alone[number, : len(part)] = part
    return alone


def _extent(ink: Ink, left: int, right: int, word: list[Character], height: int) -> tuple[float, float]:
    """From the first to the last column with ink, but not further from the word's characters than a letter is wide."""
    first, last = column(word[0].first, ink), column(word[-1].last, ink)
    left, right = max(left, first - height), min(right, last + height)
    columns = np.flatnonzero(ink[left:right])
    if not len(columns):
        half = _LEAST_WIDTH * height
        return max(0.0, first - half), min(float(len(ink)), last + half)
    return float(left + columns[0]), float(left + columns[-1] + 1)
