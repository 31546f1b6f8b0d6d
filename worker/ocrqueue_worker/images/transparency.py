"""Pictures with transparency as opaque pages: laid on the background on which what they show can be seen."""

from __future__ import annotations

import math
from typing import Final

from PIL import Image, ImageChops

_LEAST_ALPHA: Final = 32
"""Where no pixel is more opaque than this, of 255, nobody would see anything: the alpha is an error of the writer's."""

_SEEN: Final = 64
"""Levels between two greys that are told apart without effort."""

_AS_GOOD: Final = 0.1
"""White is kept where another background would show no more than this share of the outlines besides."""

_LEAST_OUTLINE: Final = 0.04
"""Of the smaller of the two areas, seen and hidden: letters have a long outline, a page in a margin a short one."""

_FEWEST: Final = 32
"""Pixels of outline that a letter has at least."""

_SAMPLE_PIXELS: Final = 4_000_000

_WHITE, _BLACK, _GREY = 255, 0, 128


def opaque(image: Image.Image) -> tuple[Image.Image, str | None]:
    """An image of mode LA or RGBA as L or RGB, and the code of a warning where it is not simply laid on white."""
    alpha, mode = image.getchannel("A"), "L" if image.mode == "LA" else "RGB"
    least, most = _extrema(alpha)
    if least == _WHITE:
        return image.convert(mode), None
    if most < _LEAST_ALPHA:
        colors = image.convert(mode)
        if not _is_flat(colors):
            return colors, "image.alpha_ignored"
        if most > least:
            alpha = alpha.point([min(level * 255 // most, 255) for level in range(256)])
            most = 255
    background = _background(_sample(image).convert("L"), _sample(alpha), most)
    page = Image.new(mode, image.size, background if mode == "L" else (background,) * 3)
    page.paste(image, mask=alpha)
    return page, None if background == _WHITE else "image.background_chosen"


def _sample(image: Image.Image) -> Image.Image:
    """Its pixels thinned out where there are many: enough to choose by."""
    step = math.isqrt(image.width * image.height // _SAMPLE_PIXELS)
    if step <= 1:
        return image
    return image.resize((max(1, image.width // step), max(1, image.height // step)), Image.Resampling.NEAREST)


def _background(grey: Image.Image, alpha: Image.Image, most: int) -> int:
    """The grey on which the outlines of what is opaque are seen best; white where it will do."""
    half = most // 2
    solid = alpha.point([255 if level > half else 0 for level in range(256)])
    seen, pixels = solid.histogram()[255], solid.width * solid.height
    outline = _outline(solid)
    levels = grey.histogram(outline)
    count = sum(levels)
    if count < _FEWEST or count <= _LEAST_OUTLINE * min(seen, pixels - seen):
        return _WHITE
    shares = {
        ground: sum(found for level, found in enumerate(levels) if abs(level - ground) >= _SEEN) / count
        for ground in (_WHITE, _BLACK, _GREY)
    }
    best = max(shares.values())
    return next(ground for ground, share in shares.items() if share >= best - _AS_GOOD)


def _outline(solid: Image.Image) -> Image.Image:
    """The pixels of `solid` that have a neighbour, above, below or beside them, which is not."""
    inside = solid
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        inside = ImageChops.darker(inside, ImageChops.offset(solid, across, down))
    return ImageChops.subtract(solid, inside)


def _is_flat(image: Image.Image) -> bool:
    return all(_extrema(band)[0] == _extrema(band)[1] for band in image.split())


def _extrema(band: Image.Image) -> tuple[int, int]:
    low, high = band.getextrema()
    return int(low), int(high)  # type: ignore[arg-type]  # of one band
