"""A decoded image as engines get it: grey or RGB, upright, opaque, its pixels square, its colors told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from PIL import Image

from ocrqueue.document import DocumentWarning
from ocrqueue.document.formats.resolution import stated_axes
from ocrqueue.document.signatures import ImageFormat
from ocrqueue_worker.images.alike_colors import told_apart
from ocrqueue_worker.images.cmyk import with_likely_inks
from ocrqueue_worker.images.exif import is_credible, stated_dpi, swaps_axes, upright_transposition
from ocrqueue_worker.images.levels import as_unsigned
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.images.pixel_formats import to_grey_or_rgb
from ocrqueue_worker.images.pixel_shape import square_size, squared
from ocrqueue_worker.images.warnings import warning

Warn = Callable[[DocumentWarning], None]

_ANIMATIONS: Final = ("GIF", "WEBP", "AVIF")
"""Their image is decoded into again for the next frame."""
_TIFF_BITS_PER_SAMPLE: Final = 258
_TIFF_PHOTOMETRIC: Final = 262
_TIFF_SAMPLE_FORMAT: Final = 339


def page_of(
    image: Image.Image,
    number: int,
    kind: ImageFormat,
    max_pixels: int,
    warn: Warn,
    *,
    stored_sideways: bool = False,
) -> PageImage:
    """A loaded image as page `number`. `stored_sideways`: Pillow has turned it by a quarter while loading."""
    transposition, axes = upright_transposition(image), stated_axes(image)
    dpi = _credible_dpi(stated_dpi(image), image.size, number, warn)
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    if image.mode == "CMYK" and kind == "JPEG" and "adobe" not in image.info:
        image, turned = with_likely_inks(image)
        if turned:
            warn(warning("image.cmyk_polarity", number))
    if tags.get(_TIFF_BITS_PER_SAMPLE) == (32,) and tags.get(_TIFF_SAMPLE_FORMAT, (1,)) == (1,):
        image = as_unsigned(image)
    page, code = to_grey_or_rgb(
        image,
        depth=12 if tags.get(_TIFF_BITS_PER_SAMPLE) == (12,) else 16,
        white_is_zero=tags.get(_TIFF_PHOTOMETRIC) == 0,
    )
    if code is not None:
        warn(warning(code, number))
    if page.mode == "RGB" and (told := told_apart(page)) is not None:
        page = told
        warn(warning("image.colors_alike", number))
    if transposition is not None:
        page = page.transpose(transposition)
    elif page is image and kind in _ANIMATIONS:
        page = page.copy()
    page.info = {}
    if axes is not None and (stored_sideways or swaps_axes(transposition)):
        axes = (axes[1], axes[0])
    size = axes and square_size(page.size, axes, max_pixels)
    if not axes or not size:
        return PageImage(number, page, dpi)
    warn(warning("image.pixels_squared", number, f"{axes[0]:.0f} x {axes[1]:.0f} to the inch"))
    return PageImage(number, squared(page, size), max(axes), page.size)


def _credible_dpi(dpi: float | None, size: tuple[int, int], number: int, warn: Warn) -> float | None:
    if dpi is None or is_credible(dpi, size):
        return dpi
    warn(warning("image.resolution_ignored", number, f"{dpi:.0f} dots per inch"))
    return None
