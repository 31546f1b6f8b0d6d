"""Where a line of text lies, and its picture set straight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from ocrqueue.document import Polygon
from ocrqueue_worker.engines.rapid.networks import Quads
from ocrqueue_worker.engines.rapid.scaling import Pixels, Points

_STANDING: Final = 1.5
"""A line that the detector found, and that is so many times as high as wide, is read from top to bottom."""
_HEIGHT_PX: Final = 48
"""Of the pictures that the recogniser takes."""
_LONGEST: Final = 128
"""In heights: a longer line, which is none of text, is compressed to it, so that it takes no more memory."""


@dataclass(frozen=True)
class LineFrame:
    """`corners`: 4 x 2, in reading order from the top left; `width` and `height` of the picture, in pixels."""

    corners: Quads
    width: int
    height: int

    @property
    def aspect(self) -> float:
        return min(self.width / self.height, _LONGEST)

    def turned(self) -> LineFrame:
        """The same, read the other way round."""
        return LineFrame(np.roll(self.corners, 2, axis=0), self.width, self.height)


def found_frame(quad: Quads) -> LineFrame:
    """Of corners clockwise from the upper left on the page; as RapidOCR's `get_rotate_crop_image`."""
    frame = given_frame(quad)
    if frame.height < _STANDING * frame.width:
        return frame
    return LineFrame(np.roll(quad, -1, axis=0), frame.height, frame.width)


def given_frame(corners: Quads) -> LineFrame:
    """Of corners in reading order."""
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return LineFrame(corners, max(1, int(max(sides[0], sides[2]))), max(1, int(max(sides[1], sides[3]))))


def picture(pixels: Pixels, frame: LineFrame) -> Pixels:
    """What is within the frame, its corners in the picture's: height x width x 3, or 48 high if it is very long."""
    width, height = frame.width, frame.height
    if width > _LONGEST * height:
        width, height = _LONGEST * _HEIGHT_PX, _HEIGHT_PX
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    straight = cv2.warpPerspective(
        pixels,
        cv2.getPerspectiveTransform(frame.corners, target),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(straight, np.uint8)


def stretch(corners: Points, start: float, end: float) -> Polygon:
    """The part of a line from `start` to `end`, each from 0 to 1 along it."""
    top, bottom = corners[1] - corners[0], corners[2] - corners[3]
    points = (corners[0] + start * top, corners[0] + end * top, corners[3] + end * bottom, corners[3] + start * bottom)
    first, second, third, fourth = ((round(float(x), 2), round(float(y), 2)) for x, y in points)
    return (first, second, third, fourth)
