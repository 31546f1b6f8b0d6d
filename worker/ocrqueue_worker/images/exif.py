"""What an image file says of itself besides its pixels: which way up it is, how dense. Broken EXIF says nothing."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, Final

from PIL import ExifTags, Image

_DPI_RANGE: Final = (10.0, 4800.0)
_LENGTH_IN: Final = (0.5, 80.0)
"""Of a page's longer side."""
_DPI_SKEW: Final = 1.1
"""Above this ratio of x to y the pixels are not square, and one number would mislead."""

# Not Exception: time limits arrive as exceptions of their own in the midst of decoding and must get through.
DECODER_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow raises over bytes that are not as they should be."""

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
    return _UPRIGHT.get(_exif_tag(image, ExifTags.Base.Orientation))


def swaps_axes(transposition: Image.Transpose | None) -> bool:
    """Whether what was across is down after it."""
    return transposition in _SWAPPING


def _exif_tag(image: Image.Image, tag: int) -> Any:
    """The value of an EXIF tag; None where there is none or EXIF is broken."""
    try:
        return image.getexif().get(tag)
    except DECODER_ERRORS:
        return None


def stated_dpi(image: Image.Image) -> float | None:
    """Dots per inch as the file states it: the mean of x and y, None where that says nothing."""
    axes = stated_axes(image)
    if axes is None:
        return None
    (x, y), (low, high) = axes, _DPI_RANGE
    mean = (x + y) / 2
    square = max(x, y) <= min(x, y) * _DPI_SKEW
    return round(mean, 2) if square and low <= mean <= high else None


def stated_axes(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch across and down, whatever they are; None where the file does not say."""
    try:
        x, y = (float(number) for number in _dpi_of_axes(image))
    except DECODER_ERRORS:
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def is_credible(dpi: float, size: tuple[int, int]) -> bool:
    """Whether a page of this size can have this resolution: it is longer than an inch and shorter than two metres."""
    return _LENGTH_IN[0] <= max(size) / dpi <= _LENGTH_IN[1]


def _dpi_of_axes(image: Image.Image) -> tuple[Any, ...]:
    # Of a JPEG only JFIF's numbers are taken as they come: Pillow makes up 72 where EXIF is broken.
    if "dpi" in image.info and (image.format not in ("JPEG", "MPO") or image.info.get("jfif_unit") in (1, 2)):
        return tuple(image.info["dpi"])
    scale = 2.54 if _exif_tag(image, ExifTags.Base.ResolutionUnit) == 3 else 1.0  # 3: per centimetre
    return tuple(float(_exif_tag(image, tag)) * scale for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))
