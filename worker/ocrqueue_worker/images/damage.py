"""A damaged file made whole, and what of it is not the file's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops

from ocrqueue.document import DocumentWarning

TOLERATED: Final = 0.01
"""Less than this share of a page's pixels may be missing from its end; more is a copy that was cut off."""

_GREY: Final = 128
"""What a JPEG decoder shows in place of data that ended."""


@dataclass(frozen=True, slots=True)
class Damage:
    """`data` opens as a whole file of the same format."""

    data: bytes
    missing: float | None
    """The share of the pixels that are not the file's; None where that shows only once it is decoded."""
    missing_rows: int = 0
    """Whole rows at the bottom that are not the file's."""
    warnings: tuple[DocumentWarning, ...] = ()


def without_missing_rows(image: Image.Image, rows: int) -> Image.Image:
    """`image` with its last rows as white as may be: what is not there is not to look like ink."""
    if rows:
        white = (0, 0, 0, 0) if image.mode == "CMYK" else "white"
        page = image.convert("RGB") if image.mode in ("P", "1") else image
        if page.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
            page.paste(white, (0, image.height - rows, image.width, image.height))
        return page
    return image


def grey_at_the_end(image: Image.Image, block: int) -> tuple[float, int]:
    """For a JPEG that ended early: the share of its pixels that were filled with grey, and the number of whole rows.

    `block` is the height of its blocks in pixels: blocks are filled one after the other, row by row.
    """
    apart = ImageChops.difference(image, Image.new(image.mode, image.size, (_GREY,) * len(image.getbands())))
    # inks that are stored inverted are a level beside it
    apart = apart.point([0 if level <= 1 else level for level in range(256)] * len(apart.getbands()))
    box = apart.getbbox(alpha_only=False)
    if box is None:
        return 1.0, image.height
    bottom = box[3]
    top = (bottom - 1) // block * block
    last = apart.crop((0, top, image.width, bottom)).getbbox(alpha_only=False)
    beside = (image.width - last[2]) * (bottom - top) if last else 0
    return ((image.height - bottom) * image.width + beside) / (image.width * image.height), image.height - bottom
