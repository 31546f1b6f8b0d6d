"""Grey of more than 8 bits as grey of 8: by what a page holds, for most of a file's range may be unused."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageFilter, ImageMath

_WHITE: Final = 255

_OUTLIERS: Final = 5000
"""One pixel in so many may lie beyond the levels that are kept apart: dead pixels of a sensor, say."""

_ENOUGH: Final = 64
"""Of 256 levels; a page whose lightest is below is stretched."""

_NARROW: Final = 32
"""Of 256 levels; a page whose darkest and lightest are closer is stretched, if it is not noise."""

_NOISE: Final = 0.4
"""Of the range of levels, what is left of it in means of 4 x 4 pixels: a quarter of noise, most of letters."""

_SAMPLE_PX: Final = 500
_STRIP_PIXELS: Final = 1_000_000

_LEAST_NO_DATA: Final = 999
_FAR_BELOW: Final = 10
_FAR: Final = 1000
"""Times the range of all other values, by which what stands for no data is away from them."""


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
    if (narrow := _narrow(wide, page, top)) is not None:
        page, stretched = narrow, True
    transparent = image.info.get("transparency")
    if white_is_zero:
        page = page.point([_WHITE - level for level in range(256)])
    if isinstance(transparent, int):
        page.paste(_WHITE, mask=wide.point([_WHITE * (level == transparent) for level in range(1 << 16)], "L"))
    return page, stretched


def from_wide(image: Image.Image, white_is_zero: bool) -> tuple[Image.Image, bool]:
    """Mode "I" or "F", whose range is not known, as "L": from its smallest to its largest value, and whether a few
    pixels far from all others, or those that stand for no data, were left out of that.

    What is no data, or no finite number, is white. Raises ValueError where no number is finite.
    """
    levels = _sampled(image)
    if not levels:
        raise ValueError("pixels are not finite numbers")
    none = _no_data(levels)
    blank = _blank(image, none) if image.mode == "F" or none is not None else None
    if blank is not None:
        levels = [level for level in levels if level != none]
        image = image.copy()
        image.paste(levels[0], mask=blank)
    low, high = image.getextrema()
    if isinstance(low, tuple) or isinstance(high, tuple):
        raise ValueError(f"mode {image.mode} has several bands")
    stretched = none is not None
    first, last = _most_of(levels)
    if first < last and (last - first) * _WHITE < _ENOUGH * (high - low):
        low, high, stretched = first, last, True
    page = _scaled(image, low, high, white_is_zero)
    if blank is not None:
        page.paste(_WHITE, mask=blank)
    return page, stretched


def _narrow(wide: Image.Image, page: Image.Image, top: int) -> Image.Image | None:
    """`wide` from its lowest to its highest level, where these are close; else None, also for a page of noise.

    `page` is that from 0 to `top`.
    """
    first, last = _covering(page)
    if last - first >= _NARROW:
        return None
    darkest, lightest = page.filter(ImageFilter.MedianFilter(3)).getextrema()
    if isinstance(darkest, tuple) or isinstance(lightest, tuple) or lightest - darkest >= _NARROW:
        return None  # too few letters to be counted, but more than dead pixels
    levels = _sampled(wide)
    low, high = _most_of(levels)
    if low >= high:
        return None
    smooth_low, smooth_high = _most_of(_sampled(wide.reduce(4)))
    if smooth_high - smooth_low < _NOISE * (high - low):
        return None
    scale = _WHITE / (high - low)
    return wide.point([round(min(max(level - low, 0) * scale, _WHITE)) for level in range(1 << 16)], "L")


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


def _sampled(image: Image.Image) -> list[float]:
    """The finite values of pixels in a grid, in order; of a small image all."""
    width, height = (min(side, _SAMPLE_PX) for side in image.size)
    grid = image.resize((width, height), Image.Resampling.NEAREST)
    levels = memoryview(grid.tobytes()).cast("f" if image.mode == "F" else "i").tolist()
    return sorted(level for level in levels if math.isfinite(level))


def _most_of(levels: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest of them, but for one in 5000 on either side."""
    spare = len(levels) // _OUTLIERS
    return levels[spare], levels[-1 - spare]


def _no_data(levels: Sequence[float]) -> float | None:
    """The value that stands for no data, as -9999 does in measured pictures; None where there is none.

    It is the same in all those pixels, large, and far from all other values. Ink may be all alike and far from the
    paper too, so a positive one must be farther, and that of a page of two values is never meant.
    """
    for none, rest in (
        (levels[0], levels[bisect_right(levels, levels[0]) :]),
        (levels[-1], levels[: bisect_left(levels, levels[-1])]),
    ):
        if not rest or len(levels) - len(rest) <= len(levels) // _OUTLIERS:
            continue
        first, last = _most_of(rest)
        gap, most = max(first - none, none - last), max(abs(first), abs(last))
        far = _FAR_BELOW if none < 0 <= first else _FAR
        if first < last and gap >= far * (last - first) and abs(none) >= max(_LEAST_NO_DATA, _FAR_BELOW * most):
            return none
    return None


def _blank(image: Image.Image, none: float | None) -> Image.Image | None:
    """A mask of the pixels that are no finite number, or are `none`; None where there are none."""
    mask = Image.new("L", image.size)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        # of what is infinite, and of what is no number, the difference from itself is no number
        bad: Image.Image = ImageMath.lambda_eval(
            lambda args: args["convert"]((args["strip"] - args["strip"] != 0) * _WHITE, "L"), strip=strip
        )
        mask.paste(bad, (0, top))
        if none is not None:
            bad = ImageMath.lambda_eval(
                lambda args: args["convert"]((args["strip"] == args["none"]) * _WHITE, "L"), strip=strip, none=none
            )
            mask.paste(_WHITE, (0, top), bad)
    return mask if mask.getbbox() else None
