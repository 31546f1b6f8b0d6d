"""What an image file says of itself besides its pixels: which way up it is, how dense. Broken EXIF says nothing."""

from __future__ import annotations

from typing import Final

from PIL import ExifTags, Image

from ocrqueue.document.formats.resolution import exif_tag, stated_axes

_DPI_RANGE: Final = (10.0, 4800.0)
_LENGTH_IN: Final = (0.5, 80.0)
"""Of a page's longer side."""
_DPI_SKEW: Final = 1.1
"""Above this ratio of x to y the pixels are not square, and one number would mislead."""

# EXIF 2.32, tag Orientation: what to do to see the picture upright.
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SWAPPING: Final = frozenset(
    (
        Image.Transpose.TRANSPOSE,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.ROTATE_270,
    )
)


def upright_transposition(image: Image.Image) -> Image.Transpose | None:
    """What to do to a loaded image to see it upright; None where nothing.

    Pillow turns a TIFF while loading it and then forgets its orientation, so there is nothing left to do for those.
    """
    return _UPRIGHT.get(exif_tag(image, ExifTags.Base.Orientation))


def swaps_axes(transposition: Image.Transpose | None) -> bool:
    """Whether what was across is down after it."""
    return transposition in _SWAPPING


def stated_dpi(image: Image.Image) -> float | None:
    """Dots per inch as the file states it: the mean of x and y, None where that says nothing."""
    axes = stated_axes(image)
    if axes is None:
        return None
    (x, y), (low, high) = axes, _DPI_RANGE
    mean = (x + y) / 2
    square = max(x, y) <= min(x, y) * _DPI_SKEW
    return round(mean, 2) if square and low <= mean <= high else None


def is_credible(dpi: float, size: tuple[int, int]) -> bool:
    """Whether a page of this size can have this resolution: it is longer than an inch and shorter than two metres."""
    return _LENGTH_IN[0] <= max(size) / dpi <= _LENGTH_IN[1]
