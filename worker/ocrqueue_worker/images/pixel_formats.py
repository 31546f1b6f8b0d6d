"""From any pixel layout that Pillow decodes to what engines read: "L" or "RGB", 8 bits a channel, opaque."""

from __future__ import annotations

import math
from typing import Final

from PIL import Image

_WHITE: Final = 255


def to_grey_or_rgb(image: Image.Image, *, depth: int = 16, white_is_zero: bool = False) -> Image.Image:
    """A loaded image in mode "L" (what is grey stays grey) or "RGB", transparency laid on white.

    16-bit grey is scaled by `depth`, the bits that are used of its 16; 32-bit integers and floats have no known range
    and are scaled from their smallest to their largest value. `white_is_zero` turns those upside down, which Pillow
    does for 8 bits only. The image itself is returned where nothing is to be done. Raises ValueError for floats that
    are not finite.
    """
    if image.mode.startswith("I;16"):
        return _from_16_bits(image, depth, white_is_zero)
    if image.mode in ("I", "F"):
        return _from_wide(image, white_is_zero)
    if image.mode in ("La", "RGBa"):  # premultiplied alpha
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        return _on_white(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    page_mode, alpha_mode = ("L", "LA") if image.mode in ("1", "L", "LA") else ("RGB", "RGBA")
    if image.mode != alpha_mode:
        image = image.convert(alpha_mode)
    page = Image.new(page_mode, image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def _from_16_bits(image: Image.Image, depth: int, white_is_zero: bool) -> Image.Image:
    # Pillow's own conversion clips at 255, and its lookup tables of 65536 entries are for mode "I".
    top = (1 << depth) - 1
    levels = [min(level, top) * 255 // top for level in range(1 << 16)]
    if white_is_zero:
        levels = [_WHITE - level for level in levels]
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and 0 <= transparent < len(levels):
        levels[transparent] = _WHITE
    return image.convert("I").point(levels, "L")


def _from_wide(image: Image.Image, white_is_zero: bool) -> Image.Image:
    low, high = image.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float) and math.isfinite(low + high)):
        raise ValueError("pixels are not finite numbers")
    if low >= high:
        return Image.new("L", image.size, _WHITE)
    if white_is_zero:
        low, high = high, low
    scale = 255 / (high - low)
    return image.point(lambda level: level * scale + (0.5 - low * scale)).convert("L")
