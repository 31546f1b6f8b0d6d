"""A page as the networks get it: at most so large, and no strip.

As RapidOCR has it: the longest side is limited, and a strip gets a black margin above and below. RapidOCR enlarges the
shortest side of any page to 736 pixels before it looks for text; a page of 3 x 2000 pixels would then have 361
megapixels, so here a strip that stands upright gets its margin as well, left and right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

_GRAIN: Final = 32
"""RapidOCR scales down to multiples of it."""
_STRIP: Final = 8
"""A page that is longer than so many times its breadth is one."""
_LEAST_PX: Final = 30
"""A page that is no broader than this gets a margin too."""


@dataclass(frozen=True)
class ScaledPage:
    """`pixels` is h x w x 3, BGR; a point at p there is at (p - margin) * scale on the page."""

    pixels: Pixels
    scale: tuple[float, float]
    margin: tuple[int, int]
    """Left and top, in pixels."""
    size: tuple[int, int]
    """Width and height of the page that it was made of."""

    def on_page(self, points: NDArray[np.floating[Any]]) -> Points:
        """n x 2 points (x, y), moved onto the page."""
        moved: Points = (points - self.margin) * self.scale
        return moved.clip((0, 0), self.size)


def scaled(image: Image, max_side_len: int) -> ScaledPage:
    """`image` of mode L or RGB with no side longer than `max_side_len`, strips with a margin."""
    source = np.asarray(image)
    height, width = source.shape[:2]
    ratio = max_side_len / max(height, width)
    if ratio < 1:
        smaller = (max(_GRAIN, round(int(side * ratio) / _GRAIN) * _GRAIN) for side in (width, height))
        source = cv2.resize(source, tuple(smaller)).astype(np.uint8, copy=False)
    pixels = bgr(source)
    inner_height, inner_width = pixels.shape[:2]
    left, top = _margin(inner_width, inner_height), _margin(inner_height, inner_width)
    if left or top:
        pixels = np.pad(pixels, ((top, top), (left, left), (0, 0)))
    return ScaledPage(pixels, (width / inner_width, height / inner_height), (left, top), (width, height))


def bgr(source: Pixels) -> Pixels:
    """h x w grey or h x w x 3 RGB as OpenCV has colours."""
    converted = cv2.cvtColor(source, cv2.COLOR_GRAY2BGR if source.ndim == 2 else cv2.COLOR_RGB2BGR)
    return np.asarray(converted, np.uint8)


def _margin(breadth: int, length: int) -> int:
    """On either side of a page so broad and long."""
    if breadth > _LEAST_PX and length <= _STRIP * breadth:
        return 0
    return max(0, (2 * max(length // _STRIP, _LEAST_PX) - breadth) // 2)
