"""Colons that the detector left off: in print such as `Total :` it ends a line at the space, and two dots are no text.

They are looked for in the pixels beside a line, and the line's frame is widened so that the recogniser sees them.
"""

from __future__ import annotations

from itertools import permutations
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.engines.rapid.lines import LineFrame, picture
from ocrqueue_worker.engines.rapid.scaling import Pixels, Points

# in heights of the line's frame, which is about half as high again as its letters
_REACH: Final = 1.2
"""How far beside a line a colon is looked for."""
_INSIDE: Final = 2.0
"""How much of the line is looked at with it: its letters say what is ink."""
_DOT: Final = (0.04, 0.3)
"""Width and height of a dot."""
_APART: Final = (0.15, 0.65)
"""Between the middles of the two dots."""
_SKEW: Final = 0.1
"""By which one dot may stand to the left of the other."""
_MIDDLE: Final = (0.3, 0.72)
"""Where the middle between the dots is, from the top."""
_FREE: Final = 0.12
"""Beside the dots no other ink is so near."""
_FAINT: Final = (0.2, 0.35)
"""Of the contrast between letters and paper, one after the other: what has more is ink. Dots are fainter than letters,
and run together where the picture is small."""
_LEAST_HEIGHT_PX: Final = 10
_LEAST_CONTRAST: Final = 24.0
"""Of 255 levels of grey."""
_MARGIN: Final = 0.15
"""Of the widened frame, beyond the dots."""


def with_colons(pixels: Pixels, frame: LineFrame) -> LineFrame:
    """The frame, with the colons that stand to the right and to the left of it."""
    height = float(frame.height)
    if height < _LEAST_HEIGHT_PX:
        return frame
    left = _colon_end(_beside(pixels, frame, left=True)[:, ::-1], height)
    return _widened(with_colon_after(pixels, frame), left=left)


def with_colon_after(pixels: Pixels, frame: LineFrame) -> LineFrame:
    """The frame, with the colon that stands to the right of it.

    For pieces of a line: what stands to the left of one stands to the right of the one before.
    """
    height = float(frame.height)
    if height < _LEAST_HEIGHT_PX:
        return frame
    return _widened(frame, right=_colon_end(_beside(pixels, frame), height))


def _widened(frame: LineFrame, *, left: float = 0.0, right: float = 0.0) -> LineFrame:
    """By so many pixels."""
    if not left and not right:
        return frame
    along = _along(frame)
    corners = frame.corners.copy()
    corners[[1, 2]] += along * right
    corners[[0, 3]] -= along * left
    return LineFrame(corners, frame.width + round(right) + round(left), frame.height)


def _along(frame: LineFrame) -> Points:
    """One pixel in the direction of the text."""
    across = frame.corners[1] - frame.corners[0]
    return np.asarray(across / max(1.0, float(np.linalg.norm(across))), np.float64)


def _beside(pixels: Pixels, frame: LineFrame, *, left: bool = False) -> Pixels:
    """The end of a line and what stands beyond it, straight."""
    along, height = _along(frame), float(frame.height)
    inside = min(_INSIDE * height, float(frame.width))
    corners = frame.corners.copy()
    if left:
        corners[[1, 2]] = corners[[0, 3]] + along * inside
        corners[[0, 3]] -= along * _REACH * height
    else:
        corners[[0, 3]] = corners[[1, 2]] - along * inside
        corners[[1, 2]] += along * _REACH * height
    return picture(pixels, LineFrame(corners.astype(np.float32), round(inside + _REACH * height), frame.height))


def _colon_end(straight: Pixels, height: float) -> float:
    """How far beyond the line's end a colon and its margin reach, in pixels; 0 without one."""
    edge = straight.shape[1] - _REACH * height
    shades = _ink_shares(straight)
    if shades is None or shades[:, int(edge) :].max() < _FAINT[0]:
        return 0.0
    return next((end for faint in _FAINT if (end := _dots_end(shades > faint, edge, height))), 0.0)


def _dots_end(ink: NDArray[np.bool_], edge: float, height: float) -> float:
    count, _, boxes, middles = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    dots = [
        place
        for place in range(1, count)
        if middles[place][0] > edge - _FREE * height and _is_dot(boxes[place], height, ink.shape[1])
    ]
    for upper, lower in permutations(dots, 2):
        apart = middles[lower] - middles[upper]
        if not (_APART[0] * height <= apart[1] <= _APART[1] * height and abs(apart[0]) <= _SKEW * height):
            continue
        start = min(boxes[upper][0], boxes[lower][0])
        end = max(boxes[place][0] + boxes[place][2] for place in (upper, lower))
        around = ink[:, max(0, int(start - _FREE * height)) : int(end + _FREE * height) + 1].sum()
        own = boxes[upper][cv2.CC_STAT_AREA] + boxes[lower][cv2.CC_STAT_AREA]
        middle = (middles[lower][1] + middles[upper][1]) / 2
        if _MIDDLE[0] * height <= middle <= _MIDDLE[1] * height and around <= own and end > edge:
            return float(end - edge + _MARGIN * height)
    return 0.0


def _ink_shares(straight: Pixels) -> NDArray[np.float32] | None:
    """0 on paper, 1 in letters; None where the contrast is too low."""
    grey = cv2.cvtColor(np.ascontiguousarray(straight), cv2.COLOR_BGR2GRAY)
    levels = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    dark, paper, light = (int(np.searchsorted(levels, share)) for share in (0.03, 0.5, 0.97))
    furthest = dark if paper - dark > light - paper else light
    if abs(furthest - paper) < _LEAST_CONTRAST:
        return None
    return ((grey.astype(np.float32) - paper) / np.float32(furthest - paper)).astype(np.float32)


def _is_dot(box: NDArray[np.int32], height: float, width: int) -> bool:
    left, _, wide, high, _ = box
    fits = all(_DOT[0] * height <= side <= _DOT[1] * height for side in (wide, high))
    return bool(fits and left + wide + _FREE * height < width)
