"""Grey of more than 8 bits as grey of 8: by what a page holds, for most of a file's range may be unused."""

from __future__ import annotations

import math
from typing import Final

from PIL import Image, ImageMath

_WHITE: Final = 255

_OUTLIERS: Final = 5000
"""One pixel in so many may lie beyond the levels that are kept apart: dead pixels of a sensor, say."""

_ENOUGH: Final = 64
"""Of 256 levels; a page that takes fewer is stretched."""


def from_16_bits(image: Image.Image, depth: int, white_is_zero: bool) -> tuple[Image.Image, bool]:
    """Mode "I;16" as "L", and whether its levels were stretched.

    `depth` are the bits that are used of the 16 as the file says. Many hold 10, 12 or 14 bits and say 16.
    """
    # Pillow's own conversion clips at 255, and its lookup tables of 65536 entries are for mode "I".
    wide, top = image.convert("I"), (1 << depth) - 1
    page = wide.point([min(level, top) * 255 // top for level in range(1 << 16)], "L")
    stretched = False
    while (highest := _covering(page)[1]) < _ENOUGH and top > _WHITE:
        top, stretched = max(_WHITE, top * (highest + 1) // 255), True
        page = wide.point([min(level, top) * 255 // top for level in range(1 << 16)], "L")
    transparent = image.info.get("transparency")
    if white_is_zero:
        page = page.point([_WHITE - level for level in range(256)])
    if isinstance(transparent, int):
        page.paste(_WHITE, mask=wide.point([_WHITE * (level == transparent) for level in range(1 << 16)], "L"))
    return page, stretched


def from_wide(image: Image.Image, white_is_zero: bool) -> tuple[Image.Image, bool]:
    """Mode "I" or "F", whose range is not known, as "L": from its smallest to its largest value, and whether a few
    pixels far from all others were left out of that.

    Raises ValueError for floats that are not finite.
    """
    low, high = image.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float) and math.isfinite(low + high)):
        raise ValueError("pixels are not finite numbers")
    stretched = False
    page = _scaled(image, low, high, white_is_zero)
    for _ in range(4):  # each time to a quarter of the range or less
        if low >= high:
            break
        first, last = _covering(page)
        if white_is_zero:
            first, last = _WHITE - last, _WHITE - first
        if last - first >= _ENOUGH:
            break
        step = (high - low) / 255
        low, high = low + (first - 0.5) * step, low + (last + 0.5) * step
        page, stretched = _scaled(image, low, high, white_is_zero), True
    return page, stretched


def as_unsigned(image: Image.Image) -> Image.Image:
    """Mode "I", whose numbers are signed, as "F" with those put right that were not meant so."""
    low = image.getextrema()[0]
    if image.mode != "I" or isinstance(low, tuple) or low >= 0:
        return image
    meant: Image.Image = ImageMath.lambda_eval(
        lambda args: args["float"](args["image"]) + args["float"](args["image"] < 0) * 4_294_967_296.0, image=image
    )
    return meant


def _scaled(image: Image.Image, low: float, high: float, white_is_zero: bool) -> Image.Image:
    if low >= high:
        return Image.new("L", image.size, _WHITE)
    if white_is_zero:
        low, high = high, low
    scale = 255 / (high - low)
    return image.point(lambda level: level * scale + (0.5 - low * scale)).convert("L")


def _covering(page: Image.Image) -> tuple[int, int]:
    """The lowest and the highest level, but for one pixel in 5000 on either side."""
    levels = page.histogram()
    spare = page.width * page.height // _OUTLIERS
    return _first(levels, spare), _WHITE - _first(levels[::-1], spare)


def _first(levels: list[int], spare: int) -> int:
    passed = 0
    for level, count in enumerate(levels):
        passed += count
        if passed > spare:
            return level
    return _WHITE
