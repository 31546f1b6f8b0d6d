"""From pages of any size to the sizes that the detector computes, and from its maps back.

A page is enlarged as keras-ocr does it, then gets a white margin on the right and below, as keras-ocr gives it to the
smaller pictures of a batch: nothing is distorted, and coordinates need no shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from ocrqueue_worker.engines.keras.networks import Maps, Pictures

LEAST_PX: Final = 32
"""CRAFT halves a page four times."""

_WHITE: Final = 255


@dataclass(frozen=True, slots=True)
class EnlargedPage:
    pixels: Pictures
    """h x w x 3, RGB."""
    scale: float
    """A point of the page times this is the point here."""


def enlarge(page: Pictures, scale: float, max_size: int) -> EnlargedPage:
    """`page` (H x W x 3) times `scale`, or less, so that its longer side is at most `max_size` pixels.

    The same pixels as `keras_ocr.tools.resize_image`: sides are rounded down, and bilinear interpolation is used for
    making smaller too.
    """
    height, width = page.shape[:2]
    longest = max(height, width)
    if longest * scale > max_size:
        scale = max_size / longest
    # a side of no pixels would be an error
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return EnlargedPage(np.asarray(cv2.resize(page, size), np.uint8), scale)


def padded_size(height: int, width: int, *, few: bool = False) -> tuple[int, int]:
    """Height and width of the picture in which such a page is computed: its own, but at least LEAST_PX.

    CRAFT halves a page four times, rounding down, so that a margin moves what it finds by up to 3 pixels; keras-ocr has
    none for a page alone. `few` allows at most eight lengths between a power of two and the next, all of them multiples
    of 32: for a GPU, whose libraries look for the best way to compute each new shape. On a CPU a new shape costs
    nothing, since one graph computes all.
    """
    return _padded_length(height, few), _padded_length(width, few)


def _padded_length(length: int, few: bool) -> int:
    if not few:
        return max(LEAST_PX, length)
    step = max(LEAST_PX, (1 << (length - 1).bit_length()) // 16)
    return -(-length // step) * step


def stack(pages: Sequence[Pictures], height: int, width: int) -> Pictures:
    """n x height x width x 3: the pages, each h x w x 3, in the upper left, white elsewhere."""
    pictures = np.full((len(pages), height, width, 3), _WHITE, np.uint8)
    for picture, page in zip(pictures, pages, strict=True):
        picture[: page.shape[0], : page.shape[1]] = page
    return pictures


def cut(maps: Maps, height: int, width: int) -> Maps:
    """The part of H/2 x W/2 x 2 that a page of `height` x `width` pixels covers: what keras-ocr would get for it."""
    return maps[: max(1, height // 2), : max(1, width // 2)]
