"""CMYK JPEGs without Adobe's marker: whether their inks are stored inverted is nowhere said."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops

_SAMPLE_PX: Final = 512
_LIGHT: Final = 176
_CLEARLY: Final = 0.2


def with_likely_inks(image: Image.Image) -> tuple[Image.Image, bool]:
    """A loaded CMYK JPEG that says nothing of its inks, and whether it was turned round.

    Pillow takes them for inverted, as most writers store them. A page is mostly light; where the other way gives much
    more light than this, it is the right one.
    """
    step = max(1, max(image.size) // _SAMPLE_PX)
    size = (max(1, image.width // step), max(1, image.height // step))
    sample = image.resize(size, Image.Resampling.NEAREST)
    if _light(ImageChops.invert(sample)) > _light(sample) + _CLEARLY:
        return ImageChops.invert(image), True
    return image, False


def _light(sample: Image.Image) -> float:
    """The share of light pixels."""
    levels = sample.convert("RGB").convert("L").histogram()
    return sum(levels[_LIGHT:]) / (sample.width * sample.height)
