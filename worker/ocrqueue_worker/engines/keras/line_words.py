"""The words of a line from what a recogniser of lines computes for each of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.engines.keras.ctc_decoding import Floats, decode

STRIDE: Final = 4
"""Columns of a crop for each step of the recogniser, which looks at those of twice as many."""

_LEAST_WIDTH: Final = 0.1
"""Of a word in heights of its line, where no ink is found."""


@dataclass(frozen=True, slots=True)
class LineWord:
    """A word of a line, from `left` to `right` in columns of the line's crop."""

    text: str
    confidence: float
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class _Character:
    label: int
    first: int
    last: int
    """Steps."""


def line_words(probabilities: Floats, crop: NDArray[np.uint8], alphabet: str) -> list[LineWord]:
    """What stands between spaces, from left to right.

    `probabilities` is steps x (alphabet + 1), the blank last; `crop` is height x width, grey, without padding.
    """
    steps = min(len(probabilities), max(1, -(-crop.shape[1] // STRIDE)))
    probabilities = probabilities[:steps]
    ink = _ink(crop)
    words = _between_spaces(_characters(probabilities), alphabet)
    if not words:
        return []
    read = decode(_alone(probabilities, words), alphabet)
    edges = _edges(words, ink)
    found = []
    for number, (text, confidence) in enumerate(read):
        if text.strip() and confidence is not None:
            left, right = _extent(ink, edges[number], edges[number + 1], words[number], crop.shape[0])
            found.append(LineWord(text.strip(), confidence, left, right))
    return found


def _characters(probabilities: Floats) -> list[_Character]:
    """The best path: each run of steps with the same label that is no blank."""
    best = np.nan_to_num(probabilities).argmax(axis=1).tolist()
    blank = probabilities.shape[1] - 1
    found: list[_Character] = []
    for step, label in enumerate(best):
        if label == blank:
            continue
        if step and best[step - 1] == label:
            found[-1] = _Character(label, found[-1].first, step)
        else:
            found.append(_Character(label, step, step))
    return found


def _between_spaces(characters: list[_Character], alphabet: str) -> list[list[_Character]]:
    words: list[list[_Character]] = [[]]
    for character in characters:
        if alphabet[character.label].isspace():
            words.append([])
        else:
            words[-1].append(character)
    return [word for word in words if word]


def _alone(probabilities: Floats, words: list[list[_Character]]) -> Floats:
    """n x steps x classes: each word's steps, and those to its neighbours' middle, with certain blanks around."""
    blank = probabilities.shape[1] - 1
    alone = np.zeros((len(words), *probabilities.shape), np.float32)
    alone[:, :, blank] = 1
    for number, word in enumerate(words):
        first = (words[number - 1][-1].last + word[0].first + 1) // 2 if number else 0
        last = (word[-1].last + words[number + 1][0].first) // 2 if number + 1 < len(words) else len(probabilities)
        # a space beside the word is a word's end, and so as good as a blank
        part = probabilities[min(first, word[0].first) : max(last, word[-1].last + 1)].copy()
        alone[number, : len(part)] = part
    return alone


def _ink(crop: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Columns in which something stands that is not the background."""
    _, mask = cv2.threshold(crop, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    share = float(mask.mean())
    letters = mask if share < 0.5 else 1 - mask
    # the margin above and below has parts of other lines
    inner = letters[letters.shape[0] // 8 : -letters.shape[0] // 8 or None]
    return np.asarray(inner.sum(axis=0) >= 2)


def _edges(words: list[list[_Character]], ink: NDArray[np.bool_]) -> list[int]:
    """Columns between which each word stands: the middles of the widest gaps between neighbours."""
    edges = [0]
    for word, following in pairwise(words):
        start, end = _column(word[-1].last, ink), _column(following[0].first, ink)
        first, width = _widest_gap(ink, start, max(end, start + 1))
        edges.append(first + width // 2)
    return [*edges, len(ink)]


def _column(step: int, ink: NDArray[np.bool_]) -> int:
    """The middle of what the recogniser sees at this step."""
    return min(STRIDE * (step + 1), len(ink) - 1)


def _widest_gap(ink: NDArray[np.bool_], start: int, end: int) -> tuple[int, int]:
    """The first column and the number of columns without ink between; the middle and 0 where all have some."""
    blank = np.flatnonzero(~ink[start:end])
    if not len(blank):
        return (start + end) // 2, 0
    widest = max(np.split(blank, np.flatnonzero(np.diff(blank) > 1) + 1), key=len)
    return start + int(widest[0]), len(widest)


def _extent(ink: NDArray[np.bool_], left: int, right: int, word: list[_Character], height: int) -> tuple[float, float]:
    """From the first to the last column with ink, but not further from the word's characters than a letter is wide."""
    first, last = _column(word[0].first, ink), _column(word[-1].last, ink)
    left, right = max(left, first - height), min(right, last + height)
    columns = np.flatnonzero(ink[left:right])
    if not len(columns):
        half = _LEAST_WIDTH * height
        return max(0.0, first - half), min(float(len(ink)), last + half)
    return float(left + columns[0]), float(left + columns[-1] + 1)
