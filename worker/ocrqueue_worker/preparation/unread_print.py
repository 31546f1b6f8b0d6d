"""Whether print seems to stand on a page that is in none of its words: by its pixels, in about 6 ms.

Tesseract makes a page black and white with one threshold, and what is paler than that is gone: a column in grey is
missing, and the words that are there are as sure as ever.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageChops

from ocrqueue.document import Page
from ocrqueue_worker.preparation.ink import Mask, letters, paper, sampled

_DARKER: Final = 16
"""Levels of grey by which ink differs from paper."""
_LONG_RUN_PX: Final = 48
_AROUND_PX: Final = 3
"""Of a word: what is still its own."""
_ROWS, _COLUMNS = 12, 32
"""Size of the places that are looked at, in pixels of the sample: a few letters."""
_INK: Final = (0.05, 0.6)
"""Share of a place that is ink, where it holds letters."""
_EDGES: Final = 4
"""In a row of pixels: those of two strokes."""
_ROWS_OF_STROKES: Final = 4
_FEWEST: Final = 2
"""Pairs of places side by side. On 36 pages of which all was read, photographs and drawings among them, there was none;
a column of 24 words has 13 and more."""


def has_unread_print(page: Page, image: Image.Image) -> bool:
    """Of dark print on light paper. `image` is the page in the pixels of its words."""
    sample, factor = sampled(image)
    mask = letters(np.asarray(ImageChops.subtract(paper(sample), sample)) > _DARKER, _LONG_RUN_PX)
    for word in page.words():
        left, top, right, bottom = (round(edge / factor) for edge in word.bbox)
        rows = slice(max(0, top - _AROUND_PX), max(0, bottom + _AROUND_PX))
        mask[rows, max(0, left - _AROUND_PX) : max(0, right + _AROUND_PX)] = False
    places = _places_of_letters(mask)
    return int((places[:, 1:] & places[:, :-1]).sum()) >= _FEWEST


def _places_of_letters(mask: Mask) -> Mask:
    """Rows x columns of places; what is left over at the right and bottom edges is not looked at."""
    rows, columns = mask.shape[0] // _ROWS, mask.shape[1] // _COLUMNS
    places = mask[: rows * _ROWS, : columns * _COLUMNS].reshape(rows, _ROWS, columns, _COLUMNS)
    ink = places.mean(axis=(1, 3))
    edges = (places[..., 1:] != places[..., :-1]).sum(axis=3)
    strokes = (edges >= _EDGES).sum(axis=1)
    found: Mask = (ink > _INK[0]) & (ink < _INK[1]) & (strokes >= _ROWS_OF_STROKES)
    return found
