"""Which steps a page needs, and doing them."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

import numpy as np

from ocrqueue.job import PreparationStep
from ocrqueue_worker.preparation.ink import Mask, ink, is_dark, letters, sampled
from ocrqueue_worker.preparation.picture import Picture
from ocrqueue_worker.preparation.repainting import evenly_lit, inverted, without_dither, without_rules, without_specks
from ocrqueue_worker.preparation.skew import text_direction

_SKEWED: Final = 0.4
"""Degrees."""
_SMALL_PX: Final = 18.0
"""Height of lines of text, from the top of an ascender to the foot of a descender, that are enlarged."""
_WANTED_PX: Final = 36.0
_MOST_TIMES: Final = 6.0
_ENLARGED_PIXELS: Final = 10_000_000
"""To which a page is made more than twice as large. What seem to be lines may be noise, and then the time is lost."""
_ALWAYS_TIMES: Final = 2.0
"""However large a page is: small letters gain most by the first doubling."""
_LONG_RUN_PX: Final = 64
_PAPER: Final = 255


def prepared(picture: Picture, steps: Collection[PreparationStep], most_pixels: int) -> Picture:
    """`picture` with those of the steps done that it needs. None of them enlarges it beyond `most_pixels`."""
    grey = picture.image.convert("L")
    # first, since dots of black and white say nothing of light and dark
    if "despeckle" in steps and (smooth := without_dither(grey)) is not None:
        grey = smooth
        picture = picture.repainted("despeckle", grey)
    if "invert" in steps and is_dark(grey):
        grey = inverted(grey)
        picture = picture.repainted("invert", grey)
    if "light" in steps and (lit := evenly_lit(grey)) is not None:
        grey = lit
        picture = picture.repainted("light", grey)
    if "despeckle" in steps and "despeckle" not in picture.steps and (clean := without_specks(grey)) is not None:
        grey = clean
        picture = picture.repainted("despeckle", grey)
    sample, factor = sampled(grey)
    on_its_side, angle = text_direction(letters(ink(sample), _LONG_RUN_PX))
    if on_its_side and "rotate" in steps:
        picture = picture.turned(270)
    if "deskew" in steps and abs(angle) >= _SKEWED and on_its_side <= ("rotate" in steps):
        picture = picture.deskewed(angle, _PAPER)
    sample, factor = sampled(picture.image)
    line_px = factor * _line_height(letters(ink(sample), _LONG_RUN_PX))
    if "rules" in steps and (cleared := without_rules(picture.image.convert("L"), line_px)) is not None:
        picture = picture.repainted("rules", cleared)
    if "enlarge" in steps and 0 < line_px < _SMALL_PX:
        width, height = picture.image.size
        much = max(_ALWAYS_TIMES, math.sqrt(_ENLARGED_PIXELS / (width * height)))
        times = min(_WANTED_PX / line_px, _MOST_TIMES, much, math.sqrt(most_pixels / (width * height)))
        if times > 1.2:
            picture = picture.enlarged(times)
    return picture


def _line_height(mask: Mask) -> float:
    """The usual height of a line of text, in pixels; 0 where there is none."""
    counts = mask.sum(axis=1)
    if not counts.any():
        return 0.0
    written = np.concatenate([[0], counts > 0.08 * np.percentile(counts, 98), [0]]).astype(np.int8)
    # letters of dots may have rows without ink
    written[1:-1] |= written[:-2] & written[2:]
    steps = np.diff(written)
    heights = np.flatnonzero(steps == -1) - np.flatnonzero(steps == 1)
    heights = heights[heights >= 4]
    return float(np.median(heights)) if len(heights) else 0.0
