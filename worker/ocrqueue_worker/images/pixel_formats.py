"""From any pixel layout that Pillow decodes to what engines read: "L" or "RGB", 8 bits a channel, opaque."""

from __future__ import annotations

from PIL import Image

from ocrqueue_worker.images.levels import from_16_bits, from_wide
from ocrqueue_worker.images.transparency import opaque


def to_grey_or_rgb(
    image: Image.Image, *, depth: int = 16, white_is_zero: bool = False
) -> tuple[Image.Image, str | None]:
    """A loaded image in mode "L" (what is grey stays grey) or "RGB", and the code of a warning, if there is one.

    Transparency is laid on white, or on what it takes to see the rest. 16-bit grey is scaled by `depth`, the bits that
    are used of its 16, or by those that it uses; 32-bit integers and floats have no known range and are scaled from
    their smallest to their largest value. `white_is_zero` turns those upside down, which Pillow does for 8 bits only.
    The image itself is returned where nothing is to be done. Raises ValueError for floats none of which is finite.
    """
    if image.mode.startswith("I;16"):
        page, stretched = from_16_bits(image, depth, white_is_zero)
        return page, "image.levels_stretched" if stretched else None
    if image.mode in ("I", "F"):
        page, stretched = from_wide(image, white_is_zero)
        return page, "image.levels_stretched" if stretched else None
    if image.mode in ("La", "RGBa"):  # premultiplied alpha
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        alpha_mode = "LA" if image.mode in ("1", "L", "LA") else "RGBA"
        return opaque(image if image.mode == alpha_mode else image.convert(alpha_mode))
    if image.mode in ("L", "RGB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None
