"""Where something is written: what differs from the paper around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]

_SAMPLE_PX: Final = 1200
"""Longest side of what is looked at where all of the page is."""
_PAPER_PX: Final = 100
"""Longest side at which the paper's level is taken."""
_DARK: Final = 110
_LEAST: Final = 20
"""Levels of grey by which ink differs from paper, at the least."""
_FEW: Final = 0.005
"""Of the pixels, those that are blackest."""
_SHARE: Final = 0.4
"""Of the difference of the blackest ink, from which pixels count as ink."""
_BAND_PX: Final = 400
_LINE_PX: Final = 64
_ALONE: Final = 4
"""Pixels of a dot and of what is 2 pixels around it."""
_SPECKS: Final = 0.1
"""Of the pixels of ink, those of such dots."""


_PLACE_PX: Final = 24
"""Side of the places that are looked at one by one: larger than strokes, smaller than pages."""
_WRITTEN: Final = 0.3
"""Of the greatest contrast of a place, what a place has in which something is written."""


def sampled(image: Image.Image, most_px: int = _SAMPLE_PX) -> tuple[Image.Image, int]:
    """`image` in grey and reduced to what can be looked at, and by how much."""
    factor = -(-max(image.size) // most_px)
    return (image.reduce(factor) if factor > 1 else image).convert("L"), factor


def letters(mask: Mask, longest: int) -> Mask:
    """`mask` without lines of that length, which no letter has."""
    found: Mask = mask & ~runs(mask, longest) & ~runs(mask.T, longest).T
    return found


def is_dark(grey: Image.Image) -> bool:
    """Whether what is written is lighter than the paper, which is dark."""
    counts, total = grey.histogram(), grey.width * grey.height
    darkest, usual, lightest = (_level(counts, share * total) for share in (_FEW, 0.5, 1 - _FEW))
    return usual < _DARK and lightest - usual > usual - darkest and _is_light_on_dark(grey)


def _is_light_on_dark(grey: Image.Image) -> bool:
    """Whether it is so in most places where something is written: not of light paper on a dark table, or in shadow."""
    sample = np.asarray(sampled(grey)[0])
    rows, columns = (side // _PLACE_PX for side in sample.shape)
    if not rows or not columns:
        return True
    places = sample[: rows * _PLACE_PX, : columns * _PLACE_PX].reshape(rows, _PLACE_PX, columns, _PLACE_PX)
    places = places.swapaxes(1, 2).reshape(rows * columns, -1).astype(np.int32)
    low, high = places.min(axis=1), places.max(axis=1)
    written = high - low >= max(_LEAST, _WRITTEN * int((high - low).max()))
    is_light = 2 * np.median(places[written], axis=1) < (low + high)[written]
    return 2 * int(is_light.sum()) > int(written.sum())


def _level(counts: Sequence[int], rank: float) -> int:
    return next(level for level, sum_so_far in enumerate(accumulate(counts)) if sum_so_far > rank)


def paper(grey: Image.Image) -> Image.Image:
    """The level of the paper around each pixel: light, evened out, of the same size."""
    factor = max(1, max(grey.size) // _PAPER_PX)
    small = grey.reduce(factor) if factor > 1 else grey
    small = Image.fromarray(lightest(np.asarray(small), 4)).filter(ImageFilter.BoxBlur(6))
    return small.resize(grey.size, Image.Resampling.BILINEAR)


def lightest(grey: Grey, reach: int) -> Grey:
    """Around each pixel, so many pixels far: as Pillow's MaxFilter, in a tenth of its time."""
    return _extreme(grey, reach, np.maximum)


def darkest(grey: Grey, reach: int) -> Grey:
    return _extreme(grey, reach, np.minimum)


def _extreme(grey: Grey, reach: int, of_two: np.ufunc) -> Grey:
    rows, columns = grey.shape
    padded = np.pad(grey, reach, mode="edge")
    places = range(1, 2 * reach + 1)
    across = padded[:, :columns].copy()
    for place in places:
        of_two(across, padded[:, place : place + columns], out=across)
    found = across[:rows].copy()
    for place in places:
        of_two(found, across[place : place + rows], out=found)
    return found


def ink(grey: Image.Image, level: Image.Image | None = None) -> Mask:
    """Of dark ink on light paper. `level`: the paper's, if it is known."""
    darker = ImageChops.subtract(level or paper(grey), grey)
    counts, beyond, blackest = darker.histogram(), 0, 255
    few = grey.width * grey.height * _FEW
    while blackest and (beyond := beyond + counts[blackest]) < few:
        blackest -= 1
    least = max(_LEAST, _SHARE * blackest)
    return np.asarray(darker) > least


def runs(mask: Mask, length: int) -> Mask:
    """The pixels of `mask` that stand in a row of so many, left to right."""
    rows, columns = mask.shape
    if columns < length:
        return np.zeros_like(mask)
    begun = mask
    for have, more in _doubled(length):
        begun = begun[:, : columns - have - more + 1] & begun[:, more:]
    # from where such a row begins, to where it ends
    found = np.zeros((rows, columns + length - 1), np.bool_)
    found[:, length - 1 : columns] = begun
    for _, more in _doubled(length):
        found = found[:, : found.shape[1] - more] | found[:, more:]
    return found


def _doubled(length: int) -> Iterator[tuple[int, int]]:
    """How many pixels are looked at, and by how many more these can grow, until they are `length`."""
    have = 1
    while have < length:
        more = min(have, length - have)
        yield have, more
        have += more


def densest_band(image: Image.Image, share: int) -> tuple[int, int, int, int]:
    """The box of one `share`-th of the page, from side to side, in which most is written; of a low page all of it."""
    height = max(_BAND_PX, image.height // share)
    if height >= image.height:
        return (0, 0, *image.size)
    sample, factor = sampled(image)
    rows = np.concatenate([[0], np.cumsum(letters(ink(sample), _LINE_PX).sum(axis=1))])
    window = max(1, height // factor)
    top = factor * int(np.argmax(rows[window:] - rows[:-window]))
    return (0, top, image.width, min(top + height, image.height))


def is_speckled(mask: Mask) -> bool:
    """Whether much of it are dots that stand alone."""
    padded = np.pad(mask, 2).astype(np.uint8)
    rows, columns = mask.shape
    across = np.sum([padded[:, place : place + columns] for place in range(5)], axis=0, dtype=np.uint8)
    near = np.sum([across[place : place + rows] for place in range(5)], axis=0, dtype=np.uint8)
    alone = int((mask & (near <= _ALONE)).sum())
    return alone > _SPECKS * int(mask.sum())


def grown(mask: Mask, by: int) -> Mask:
    """`mask` and so many pixels around."""
    return lightest(mask.astype(np.uint8), by) > 0
