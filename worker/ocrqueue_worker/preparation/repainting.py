"""Polarity, light, speckles and rules: what changes pixels, and leaves their places."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from ocrqueue_worker.preparation.ink import darkest, grown, ink, is_speckled, lightest, paper, runs

_UNEVEN: Final = 40
"""Levels between the darkest and the lightest of the paper."""
_DIM: Final = 170
_FAINT: Final = 110
"""Levels between ink and paper, where they are to be drawn apart."""
_RULE_PX: Final = 64
_TWO_LEVELS: Final = 0.95
"""Of the pixels of a page in black and white only, those that are next to black or to white: JPEG blurs them."""
_NEXT_TO: Final = 32
"""Levels."""
_DITHERED: Final = 0.02
"""Of the pixels, those that are unlike all four beside them. Scans in black and white have less than 0.003 of them,
with letters of 7 pixels too; flat grey that was dithered has 0.04 to 0.25."""
_DENSELY: Final = 0.065
"""The same where they may be specks, which lie at random: as many are there if they cover a quarter of it."""
_DOTS_PX: Final = 1.2
"""Standard deviation of the blur that makes dots grey again, and leaves letters of twelve pixels."""

_INK_SAMPLE_PX: Final = 600
"""Longest side at which the darkest ink is taken."""
_NEAR: Final = 8
"""Pixels of that sample."""
_LEAST_INK: Final = 20
"""Levels by which the darkest ink near a pixel is darker than paper, at the least: with less there is no print."""


def is_dim(level: Image.Image) -> bool:
    """Whether the paper itself is dim, or brighter on one side than on the other, by its level."""
    lowest, highest = _extremes(level, 0.02)
    return highest <= _DIM or highest - lowest >= 2 * _UNEVEN


def evenly_lit(grey: Image.Image) -> Image.Image | None:
    """With white paper and black ink; None where it has them."""
    level = paper(grey)
    lowest, highest = _extremes(level, 0.02)
    darkest, _ = _extremes(grey, 0.005)
    if highest - lowest < _UNEVEN and highest - darkest > _FAINT and highest > _DIM:
        return None
    under = np.maximum(np.asarray(level, np.float32), 1)
    lit = np.asarray(grey, np.float32) / under
    black = float(np.quantile(lit[::4, ::4], 0.005))
    stretched = (lit - black) / max(0.98 - black, 0.05)
    return Image.fromarray((stretched.clip(0, 1) * 255).astype(np.uint8))


def without_rules(grey: Image.Image, letter_px: float) -> Image.Image | None:
    """With paper in the place of straight lines; None where there are none."""
    length = max(_RULE_PX, round(3 * letter_px))
    mask = ink(grey)
    rules = runs(mask, length) | runs(mask.T, length).T
    if rules.sum() < 2 * length:
        return None
    cleared = grey.copy()
    cleared.paste(paper(grey), mask=Image.fromarray(grown(rules, 2).astype(np.uint8) * 255))
    return cleared


def without_dither(grey: Image.Image) -> Image.Image | None:
    """With grey in the place of the dots, black and white, that stand for it; None where there are none.

    A few single dots are left to `without_specks`, which keeps letters sharp.
    """
    counts = grey.histogram()
    if sum(counts[:_NEXT_TO]) + sum(counts[-_NEXT_TO:]) < _TWO_LEVELS * grey.width * grey.height:
        return None
    black = np.asarray(grey) < 128
    across, down = black[:, 1:] != black[:, :-1], black[1:] != black[:-1]
    alone = across[1:-1, 1:] & across[1:-1, :-1] & down[1:, 1:-1] & down[:-1, 1:-1]
    share = int(alone.sum()) / black.size
    if share <= _DITHERED or (share <= _DENSELY and is_speckled(ink(grey))):
        return None
    return grey.filter(ImageFilter.GaussianBlur(_DOTS_PX))


def without_specks(grey: Image.Image) -> Image.Image | None:
    """With paper in the place of single dots, black and white; None where they are few."""
    if not is_speckled(ink(grey)):
        return None
    return grey.filter(ImageFilter.MedianFilter(3))


def with_thick_strokes(grey: Image.Image) -> Image.Image:
    """With dark strokes that are a pixel wider on each side, which closes the gaps within broken ones."""
    thick = Image.fromarray(darkest(np.asarray(grey), 1))
    # what is left of the gaps, and the steps of single dots, are no edges of letters
    return thick.filter(ImageFilter.GaussianBlur(1))


def with_even_ink(grey: Image.Image) -> Image.Image:
    """White paper, and pale print as black as the print elsewhere: ink is held against the darkest that is near it."""
    darker = np.asarray(ImageChops.subtract(paper(grey), grey))
    factor = max(1, max(grey.size) // _INK_SAMPLE_PX)
    rows, columns = darker.shape
    padded = np.pad(darker, ((0, -rows % factor), (0, -columns % factor)))
    places = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor).max(axis=(1, 3))
    near = Image.fromarray(lightest(places, _NEAR)).filter(ImageFilter.BoxBlur(_NEAR // 2))
    darkest_ink = np.maximum(np.asarray(near.resize(grey.size, Image.Resampling.BILINEAR), np.float32), _LEAST_INK)
    return Image.fromarray((255 * (1 - np.minimum(darker / darkest_ink, 1))).astype(np.uint8))


def inverted(grey: Image.Image) -> Image.Image:
    return ImageChops.invert(grey)


def _extremes(grey: Image.Image, share: float) -> tuple[int, int]:
    """The levels below and above which this share of the pixels is."""
    histogram = np.cumsum(grey.histogram())
    low, high = np.searchsorted(histogram, [share * histogram[-1], (1 - share) * histogram[-1]])
    return int(low), int(high)
