"""How dense an image file says that it is, across and down: fax pixels are twice as high as wide."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, Final

from PIL import ExifTags, Image

Axes = tuple[float, float]
"""Dots per inch across and down."""

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

_DPI_RANGE: Final = (10.0, 4800.0)
_LENGTH_IN: Final = (0.5, 80.0)
"""Of a page's longer side."""
_MOST_SKEWED: Final = 2.3
"""Ratio of the two: 204 x 98, 204 x 391, 200 x 100. Above it one of them is an error."""
_SIDEWAYS: Final = frozenset((5, 6, 7, 8))
"""Orientations of EXIF by which what was across is down."""
_TOLERANCE: Final = 0.01


def exif_tag(image: Image.Image, tag: int) -> Any:
    """The value of an EXIF tag; None where there is none or EXIF is broken."""
    try:
        return image.getexif().get(tag)
    except DECODER_ERRORS:
        return None


def stated_axes(image: Image.Image) -> Axes | None:
    """As the pixels are stored, whatever the numbers are; None where the file does not say."""
    try:
        x, y = (float(number) for number in _dpi_of_axes(image))
    except DECODER_ERRORS:
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def viewed_axes(image: Image.Image) -> Axes | None:
    """The same as a viewer shows the image: a TIFF that is not loaded yet, or another that is."""
    axes = stated_axes(image)
    if axes is None or exif_tag(image, ExifTags.Base.Orientation) not in _SIDEWAYS:
        return axes
    return axes[1], axes[0]


def page_axes(axes: Axes | None, size: tuple[int, int], dpi: float | None) -> Axes | None:
    """`axes` of an image of `size` pixels where its page can have them, and `dpi` is between them; else None.

    `dpi` is the page's own: of two numbers that differ it is the higher one, their mean, or None.
    """
    if axes is None:
        return None
    low, high = min(axes), max(axes)
    if not (_DPI_RANGE[0] <= low and high <= _DPI_RANGE[1] and high <= low * _MOST_SKEWED):
        return None
    longest = max(pixels / density for pixels, density in zip(size, axes, strict=True))
    if not _LENGTH_IN[0] <= longest <= _LENGTH_IN[1]:
        return None
    if dpi is not None and not low * (1 - _TOLERANCE) <= dpi <= high * (1 + _TOLERANCE):
        return None
    return axes


def _dpi_of_axes(image: Image.Image) -> tuple[Any, ...]:
    # Of a JPEG only JFIF's numbers are taken as they come: Pillow makes up 72 where EXIF is broken.
    if "dpi" in image.info and (image.format not in ("JPEG", "MPO") or image.info.get("jfif_unit") in (1, 2)):
        return tuple(image.info["dpi"])
    scale = 2.54 if exif_tag(image, ExifTags.Base.ResolutionUnit) == 3 else 1.0  # 3: per centimetre
    return tuple(float(exif_tag(image, tag)) * scale for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))
