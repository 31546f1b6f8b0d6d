"""The picture of one page of an image file, as a viewer shows it: the frame that a Document's coordinates are in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Final, TypeVar

from PIL import Image, ImageOps, UnidentifiedImageError

from ocrqueue.errors import (
    ImageCorrupt,
    ImageEmpty,
    ImageNotRecognised,
    ImageTooLarge,
    ImageTruncated,
    ImageUnsupported,
    OcrQueueError,
    PageNotFound,
)

FORMATS_READ: Final = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")
MAX_PIXELS: Final = 75_000_000

_Made = TypeVar("_Made")


def open_page(data: bytes, page_number: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Page `page_number` (from 1) of an image file, mode RGB, EXIF orientation applied, transparency on white.

    Raises what read_page raises.
    """
    return read_page(data, page_number, lambda image: _on_white(ImageOps.exif_transpose(image)), max_pixels=max_pixels)


def read_page(
    data: bytes, page_number: int, make: Callable[[Image.Image], _Made], *, max_pixels: int = MAX_PIXELS
) -> _Made:
    """What `make` makes of page `page_number` (from 1) of an image file, decoded and as it is stored.

    Raises ImageEmpty, ImageNotRecognised, ImageUnsupported (a PDF), ImageTooLarge (more than `max_pixels` on the page),
    ImageTruncated, ImageCorrupt or PageNotFound.
    """
    if not data:
        raise ImageEmpty
    if b"%PDF-" in data[:1024]:
        raise ImageUnsupported(
            "It is a PDF, whose pages are no pictures.",
            remedy="Mark its words in the PDF itself: to_overlay_pdf(), or `ocrqueue overlay ID -O page.pdf`.",
        )
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
    try:
        with warnings.catch_warnings():
            # What Pillow warns of, such as broken metadata, either ends in an error below or does not matter.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            return _made(data, page_number, make, max_pixels)
    except OcrQueueError:
        raise
    except UnidentifiedImageError:
        raise ImageNotRecognised from None
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"The page has more than twice the {max_pixels} pixels that are allowed.") from None
    except Exception as error:  # Pillow's decoders raise errors of a dozen kinds on data that is not as it should be
        raise (ImageTruncated if "truncated" in str(error) else ImageCorrupt) from error


def _made(data: bytes, page_number: int, make: Callable[[Image.Image], _Made], max_pixels: int) -> _Made:
    with Image.open(BytesIO(data), formats=FORMATS_READ) as image:
        _seek(image, page_number)
        if image.width * image.height > max_pixels:
            raise ImageTooLarge(f"The page has {image.width} x {image.height} pixels; {max_pixels} are allowed.")
        image.load()
        return make(image)


def _seek(image: Image.Image, page_number: int) -> None:
    try:
        if page_number < 1:
            raise EOFError
        image.seek(page_number - 1)
    except EOFError:
        raise PageNotFound(f"The image has no page {page_number}.") from None


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 instead of scaling.
        image = image.point(lambda value: value * (1 / 257)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
