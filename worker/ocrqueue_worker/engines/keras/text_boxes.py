"""From the detector's two maps to a quadrilateral around each word: what `keras_ocr.detection.getBoxes` does.

Text and link map are thresholded, what touches is one component, and each component's smallest rectangle is taken.
keras-ocr looks at the whole map several times for each component; here each is worked on in the window that it fills.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.uint8]

MOST_BOXES: Final = 10_000
"""More components than this are noise, not words; each costs a crop and its share of the recogniser's time."""

_MAP_STRIDE: Final = 2
"""Pixels of the detector's input for each pixel of its maps."""


@dataclass(frozen=True, slots=True)
class TextBoxes:
    """The words of one page, in the order of their first pixels, row by row."""

    quads: Floats
    """n x 4 x 2: corners (x, y) in pixels of the detector's input, clockwise from the one with the least x + y."""
    scores: Floats
    """n: the text map's maximum within each word, in [0, 1]."""

    def __len__(self) -> int:
        return len(self.quads)


def find_boxes(
    maps: Floats,
    *,
    detection_threshold: float = 0.7,
    text_threshold: float = 0.4,
    link_threshold: float = 0.4,
    size_threshold: int = 10,
    most: int = MOST_BOXES,
) -> TextBoxes:
    """The words in `maps`, H x W x 2 (text and link map): `getBoxes`' boxes in its order, with their scores.

    Where it would fail or not end, this goes on: values that are no number count as 0; a component of which nothing is
    left without the pixels that are both text and link is left out (`getBoxes` raises IndexError); of more than `most`
    components those of the largest area are kept.
    """
    text = maps[..., 0]
    is_text = text > np.float32(text_threshold)
    is_link = maps[..., 1] > np.float32(link_threshold)
    is_either = is_text | is_link
    count, found, areas, _ = cv2.connectedComponentsWithStats(is_either.view(np.uint8), connectivity=4)
    labels, stats = np.asarray(found, np.int32), np.asarray(areas, np.int32)
    scores = np.zeros(count, np.float32)
    np.fmax.at(scores, labels[is_either], text[is_either])

    # float64 against the threshold as given: NumPy 1, which keras-ocr needs, compares scalars so
    is_word = (stats[:, cv2.CC_STAT_AREA] >= size_threshold) & (scores.astype(np.float64) >= detection_threshold)
    is_word[0] = False
    words = np.flatnonzero(is_word)
    if len(words) > most:
        words = np.sort(words[np.argsort(-stats[words, cv2.CC_STAT_AREA], kind="stable")[:most]])

    is_both = is_text & is_link
    outlined = [(word, _contour(labels, is_both, word, stats[word])) for word in words]
    contours = {word: contour for word, contour in outlined if contour is not None}
    return TextBoxes(_quads(list(contours.values())) * _MAP_STRIDE, scores[list(contours)].clip(0, 1))


def _contour(labels: NDArray[np.int32], is_both: NDArray[np.bool_], word: int, stats: NDArray[np.int32]) -> Mask | None:
    """The outline of a component without its pixels of text and link, thickened to make up for what that took away."""
    left, top, width, height, area = (int(number) for number in stats)
    spread = int(np.sqrt(area * min(width, height) / (width * height)) * 2)
    x, y = max(left - spread, 0), max(top - spread, 0)
    window = np.s_[y : top + height + spread + 1, x : left + width + spread + 1]
    filled = ((labels[window] == word) & ~is_both[window]).view(np.uint8)
    if spread:
        cv2.dilate(filled, cv2.getStructuringElement(cv2.MORPH_RECT, (1 + spread, 1 + spread)), dst=filled)
    contours = cv2.findContours(filled, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))[-2]
    # of several parts keras-ocr takes the one that OpenCV names first
    return contours[0] if contours else None


def _quads(contours: list[Mask]) -> Floats:
    """n x 4 x 2: the smallest rectangle around each contour, the upright one where it is about a square."""
    if not contours:
        return np.zeros((0, 4, 2), np.float32)
    quads = np.array([cv2.boxPoints(cv2.minAreaRect(contour)) for contour in contours], np.float32)
    sides = np.linalg.norm(quads[:, (0, 1)] - quads[:, (1, 2)], axis=2).astype(np.float64)
    ratios = sides.max(axis=1) / (sides.min(axis=1) + 1e-5)
    first = quads.sum(axis=2).argmin(axis=1)
    quads = np.take_along_axis(quads, ((first[:, None] + np.arange(4)) % 4)[:, :, None], axis=1)
    for index in np.flatnonzero(abs(1 - ratios) <= 0.1):
        (left, top), (right, bottom) = contours[index].min(axis=(0, 1)), contours[index].max(axis=(0, 1))
        quads[index] = ((left, top), (right, top), (right, bottom), (left, bottom))
    return quads
