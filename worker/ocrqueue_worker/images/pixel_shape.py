"""Fax pages, whose pixels are twice as high as wide, as they look on paper."""

from __future__ import annotations

from typing import Final

from PIL import Image

_RATIOS: Final = (1.7, 2.3)
"""Of the resolutions along and across, either way: 204 x 98, 204 x 391, 200 x 100. Other ratios are errors."""
_FAX_DPI: Final = (90.0, 450.0)


def square_size(size: tuple[int, int], dpi: tuple[float, float], max_pixels: int) -> tuple[int, int] | None:
    """The size at which a page of `size` pixels, so many to the inch either way, has square ones; None if it has."""
    across, down = dpi
    low, high = min(across, down), max(across, down)
    if not (_FAX_DPI[0] <= low and high <= _FAX_DPI[1] and _RATIOS[0] <= high / low <= _RATIOS[1]):
        return None
    width, height = size
    wanted = (width, round(height * across / down)) if down < across else (round(width * down / across), height)
    if wanted[0] * wanted[1] > max_pixels:
        wanted = (round(width * down / across), height) if down < across else (width, round(height * across / down))
    return (max(1, wanted[0]), max(1, wanted[1]))


def squared(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BICUBIC)
