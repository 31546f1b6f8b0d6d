"""Colors that vanish in grey: red letters on a blue as light as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PIL import Image, ImageChops, ImageFilter

_SAMPLE_PX: Final = 384
"""Longest side of what is looked at: about 2 ms a page that has colors."""

_TILE_PX: Final = 16
_FAINT: Final = 7
"""Mean difference of levels from what is around, below which a tile shows nothing that could be read."""
_PLAIN: Final = 14
_SHARE: Final = 0.15
"""Of the tiles that show anything in some color, those that must be lost in grey for the page to be read by another."""


def told_apart(image: Image.Image) -> Image.Image | None:
    """`image`, of mode RGB, as the grey in which most of it is seen; None where the usual grey shows it."""
    sample = _sample(image)
    plain = _contrast(sample.convert("L"))
    channels = [_contrast(band) for band in sample.split()]
    best = [max(values) for values in zip(*channels, strict=True)]
    lost = sum(grey < _FAINT and other >= _PLAIN for grey, other in zip(plain, best, strict=True))
    anything = sum(max(grey, other) >= _PLAIN for grey, other in zip(plain, best, strict=True))
    if not lost or lost < _SHARE * anything:
        return None
    shown = {name: _shown(_contrast(make(sample))) for name, make in _GREYS.items()}
    name = max(shown, key=lambda each: shown[each])
    return _GREYS[name](image) if shown[name] > _shown(plain) else None


def _sample(image: Image.Image) -> Image.Image:
    """Its pixels thinned out: what is fine stays sharp, for letters are what is looked for."""
    step = max(1, -(-max(image.size) // _SAMPLE_PX))
    if step == 1:
        return image
    return image.resize((max(1, image.width // step), max(1, image.height // step)), Image.Resampling.NEAREST)


def _contrast(grey: Image.Image) -> list[int]:
    """For each tile the mean difference of its pixels from what is around them."""
    apart = ImageChops.difference(grey, grey.filter(ImageFilter.BoxBlur(_TILE_PX // 2)))
    return list(apart.reduce(_TILE_PX).tobytes())


def _shown(contrast: list[int]) -> int:
    return sum(each >= _FAINT for each in contrast) + sum(contrast) // 64


def _channel(name: str) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.getchannel(name)


def _difference(first: str, second: str) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageChops.subtract(image.getchannel(first), image.getchannel(second), 2.0, 128)


_GREYS: Final[dict[str, Callable[[Image.Image], Image.Image]]] = {
    "red": _channel("R"),
    "green": _channel("G"),
    "blue": _channel("B"),
    "red against blue": _difference("R", "B"),
    "red against green": _difference("R", "G"),
    "green against blue": _difference("G", "B"),
}
