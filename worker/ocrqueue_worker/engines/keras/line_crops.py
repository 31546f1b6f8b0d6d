"""Words that the detector found, joined into the pieces of lines that a recogniser of lines reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.engines.keras.word_crops import reading_order
from ocrqueue_worker.layout.directions import Words
from ocrqueue_worker.layout.inference import infer_order

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]

WIDEST_GAP: Final = 1.0
"""Between two words of a piece, in heights. Wider ones are columns, of which the recogniser was shown none."""
MOST_WIDTH: Final = 40
"""Of a piece, in heights: it is parted at its widest gaps until it is narrower, or one word."""
_MARGIN: Final = 0.1
"""Around a piece, in heights, as EasyOCR has it: the detector's boxes are tight."""
_WIDTH_STEP: Final = 64
"""Widths of crops are multiples of it, so that there are few shapes, and batches."""
_CONTRAST: Final = 0.4
"""Below which a crop is stretched."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a line: words beside each other, in reading order."""

    members: tuple[int, ...]
    """Numbers of the detector's words."""
    quad: Floats
    """4 x 2: the rectangle around them, with its margin, as read: top left, top right, bottom right, bottom left."""

    @property
    def without_margin(self) -> Floats:
        """4 x 2: the same at the top and the bottom of the words; left and right it keeps its margin."""
        first, second, third, fourth = self.quad
        inset = _MARGIN / (1 + 2 * _MARGIN)
        down_left, down_right = (fourth - first) * inset, (third - second) * inset
        return np.array([first + down_left, second + down_right, third - down_right, fourth - down_left], np.float32)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels of the page."""
        width, height = np.linalg.norm(self.quad[1] - self.quad[0]), np.linalg.norm(self.quad[3] - self.quad[0])
        return float(width), float(height)


def find_pieces(quads: Floats) -> list[Piece]:
    """The pieces of all lines, in reading order; each of the n x 4 x 2 quadrilaterals is in one."""
    if not len(quads):
        return []
    boxes = reading_order(quads).astype(np.float64)
    words = Words.of(boxes)
    lines = [line for block in infer_order(words) for paragraph in block for line in paragraph]
    return [_piece(boxes, part) for line in lines for part in _parted(words, line)]


def _parted(words: Words, line: list[int]) -> list[list[int]]:
    direction = words.along[line].sum(axis=0)
    length = float(np.linalg.norm(direction))
    direction = direction / length if length else np.array([1.0, 0.0])
    start, end = words.start[line] @ direction, words.end[line] @ direction
    height = max(float(np.median(words.height[line])), 1.0)
    gaps = (start[1:] - np.maximum.accumulate(end)[:-1]) / height
    parts, begin = [], 0
    for number in np.flatnonzero(gaps > WIDEST_GAP) + 1:
        parts.append((begin, int(number)))
        begin = int(number)
    parts.append((begin, len(line)))
    done: list[list[int]] = []
    while parts:
        first, last = parts.pop(0)
        if last - first > 1 and end[first:last].max() - start[first] > MOST_WIDTH * height:
            widest = first + 1 + int(gaps[first : last - 1].argmax())
            parts[:0] = [(first, widest), (widest, last)]
        else:
            done.append(line[first:last])
    return done


def _piece(boxes: NDArray[np.float64], members: list[int]) -> Piece:
    """Along the direction of its words' middles, if there are several, else that of the one."""
    quads = boxes[members]
    along = quads[-1, 1] + quads[-1, 2] - quads[0, 0] - quads[0, 3]
    length = float(np.linalg.norm(along))
    x = along / length if length else np.array([1.0, 0.0])
    frame = np.array([x, (-x[1], x[0])])
    points = quads.reshape(-1, 2) @ frame.T
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * max(float(high[1] - low[1]), 1.0)
    low, high = low - margin, high + margin
    corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])]) @ frame
    return Piece(tuple(members), corners.astype(np.float32))


def crop_piece(grey: Pictures, piece: Piece, height: int) -> Pictures:
    """height x width: the piece as it is read. Its width is as its shape has it, from `height` // 4 to MOST_WIDTH."""
    width, high = piece.size
    across = min(max(height // 4, round(height * width / max(high, 1.0))), MOST_WIDTH * height)
    corners = np.array([(0, 0), (across, 0), (across, height), (0, height)], np.float32)
    mapping = cv2.getPerspectiveTransform(piece.quad, corners)
    flags = cv2.INTER_AREA if high > 1.5 * height else cv2.INTER_CUBIC
    crop = cv2.warpPerspective(grey, mapping, (across, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def stretched(crop: Pictures) -> Pictures:
    """A crop of little contrast with more of it; EasyOCR measures contrast so, too."""
    low, high = np.percentile(crop, (10, 90))
    if (high - low) / max(10.0, high + low) >= _CONTRAST:
        return crop
    wider = (crop.astype(np.float32) - low) * (200 / max(10.0, high - low)) + 25
    return np.asarray(wider.clip(0, 255), np.uint8)


def batched(crops: list[Pictures]) -> dict[int, list[int]]:
    """Numbers of crops by the width to which they are padded."""
    by_width: dict[int, list[int]] = {}
    for number, crop in enumerate(crops):
        by_width.setdefault(-(-crop.shape[1] // _WIDTH_STEP) * _WIDTH_STEP, []).append(number)
    return by_width


def padded(crops: list[Pictures], width: int) -> Pictures:
    """n x height x width x 1: the last column of each goes on to the right, as EasyOCR pads."""
    return np.stack([np.pad(crop, ((0, 0), (0, width - crop.shape[1])), mode="edge") for crop in crops])[..., None]
