"""Where letters seem to stand that another engine has not seen: by their pixels, in a few hundredths of a second.

What looks like letters, of the height of those that were seen, and side by side, is a line; the recogniser says whether
it is one. The detector, which says so too, takes twenty times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from ocrqueue.document import Box, Line, polygon_of
from ocrqueue_worker.engines.rapid.scaling import Pixels

_SURE: Final = 0.5
"""Confidence of the words whose height is what letters here are high."""
# in heights of the words that were seen
_LETTER: Final = (0.3, 2.2)
"""Height of a letter."""
_WIDEST_LETTER: Final = 4.0
_APART: Final = 0.9
"""Letters that are no further apart are of one line."""
_LINE: Final = (0.5, 2.2)
"""Height of a line."""
_SHORTEST: Final = 0.6
_INK: Final = (0.12, 0.75)
"""Share of a line that is ink."""
_DARKER: Final = 14
"""Levels of grey by which ink is darker than what is around it."""
_MOST: Final = 60
"""Lines of a page; the largest. More is a picture, or a page that is to be read as a whole."""


def unseen_lines(grey: Pixels, seen: Sequence[Line]) -> list[Line]:
    """Lines without words, from the top down. `grey` is the page; none where nothing was seen with some confidence."""
    words = [word for line in seen for word in line.words]
    heights = [
        word.bbox[3] - word.bbox[1] for word in words if len(word.text) > 1 and (word.engine_confidence or 0) > _SURE
    ]
    height = float(np.median(heights)) if heights else 0.0
    if height < 4:
        return []
    letters = _letters(grey, height)
    for left, top, right, bottom in (word.bbox for word in words):
        letters[max(0, int(top) - 1) : int(bottom) + 1, max(0, int(left) - 1) : int(right) + 1] = 0
    boxes = sorted(_boxes(letters, height), key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))[:_MOST]
    return [Line(words=(), polygon=polygon_of(box), bbox=box) for box in sorted(boxes, key=lambda box: box[1])]


def _letters(grey: Pixels, height: float) -> Pixels:
    """1 where something of the size of a letter is darker than the paper around it."""
    around = max(11, int(2 * height) | 1)
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    ink = cv2.adaptiveThreshold(smooth, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, around, _DARKER)
    _, labels, parts, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    high, wide = parts[:, cv2.CC_STAT_HEIGHT], parts[:, cv2.CC_STAT_WIDTH]
    fits = (high >= _LETTER[0] * height) & (high <= _LETTER[1] * height) & (wide <= _WIDEST_LETTER * height)
    fits[0] = False
    return np.asarray(fits.astype(np.uint8)[labels], np.uint8)


def _boxes(letters: Pixels, height: float) -> list[Box]:
    near = cv2.getStructuringElement(cv2.MORPH_RECT, (max(1, int(_APART * height)), 1))
    joined = cv2.morphologyEx(letters, cv2.MORPH_CLOSE, near)
    _, _, parts, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    boxes = []
    for left, top, wide, high, _ in parts[1:].tolist():
        ink = float(letters[top : top + high, left : left + wide].mean())
        fits = _LINE[0] * height <= high <= _LINE[1] * height and wide >= max(_SHORTEST * height, 0.4 * high)
        if fits and _INK[0] <= ink <= _INK[1]:
            boxes.append((float(left), float(top), float(left + wide), float(top + high)))
    return boxes
