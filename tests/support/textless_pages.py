"""Pages on which nothing is written: blank ones, noise, rules and drawings, made from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Final

from PIL import Image, ImageDraw, ImageFilter

_SIZE: Final = (900, 700)


def _sheet(level: int = 255) -> Image.Image:
    return Image.new("L", _SIZE, level)


def _noise(strength: float, level: int = 0) -> Image.Image:
    """Gaussian, as of a sensor."""
    noise = Random(7)
    image = Image.frombytes("L", _SIZE, noise.randbytes(_SIZE[0] * _SIZE[1]))
    return Image.blend(_sheet(200 + level), image, strength)


def _speckles(count: int, radius: int) -> Image.Image:
    image, chance = _sheet(), Random(8)
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        x, y = chance.randrange(_SIZE[0]), chance.randrange(_SIZE[1])
        draw.ellipse((x, y, x + chance.randint(0, radius), y + chance.randint(0, radius)), fill=chance.randrange(90))
    return image


def _rules() -> Image.Image:
    image = _sheet()
    for y in range(40, _SIZE[1], 34):
        ImageDraw.Draw(image).line((20, y, _SIZE[0] - 20, y), fill=120, width=2)
    return image


def _grid() -> Image.Image:
    image = _rules()
    for x in range(20, _SIZE[0], 110):
        ImageDraw.Draw(image).line((x, 40, x, _SIZE[1] - 26), fill=0, width=3)
    return image


def _curves() -> Image.Image:
    """Waves, circles and a fan of lines."""
    image, chance = _sheet(), Random(9)
    draw = ImageDraw.Draw(image)
    for wave in range(5):
        points = [(x, 80 + 40 * wave + 30 * math.sin(x / (40 + 20 * wave))) for x in range(0, _SIZE[0], 4)]
        draw.line(points, fill=0, width=2 + wave % 2)
    for _ in range(14):
        x, y, size = chance.randrange(800), chance.randrange(300, 600), chance.randint(15, 140)
        draw.ellipse((x, y, x + size, y + size), outline=0, width=chance.randint(1, 4))
    for angle in range(0, 90, 9):
        end = (860 * math.cos(math.radians(angle)), 680 - 300 * math.sin(math.radians(angle)))
        draw.line(((20, 680), end), fill=0, width=2)
    return image


def _hatching() -> Image.Image:
    image, draw = _sheet(), None
    draw = ImageDraw.Draw(image)
    for start in range(-700, 900, 12):
        draw.line((start, 0, start + 700, 700), fill=60, width=2)
    return image


def _plan() -> Image.Image:
    """Rooms with doors."""
    image = _sheet()
    draw = ImageDraw.Draw(image)
    for box in ((60, 60, 420, 330), (420, 60, 840, 240), (420, 240, 840, 640), (60, 330, 420, 640)):
        draw.rectangle(box, outline=0, width=8)
        draw.arc((box[0] + 30, box[3] - 60, box[0] + 130, box[3] + 40), 180, 270, fill=0, width=2)
    return image


def _shades() -> Image.Image:
    """Soft light and dark, as of a photograph out of focus."""
    return (
        _noise(1.0)
        .resize((18, 14), Image.Resampling.BOX)
        .point(lambda level: (level - 90) * 3)
        .resize(_SIZE, Image.Resampling.BICUBIC)
    )


def _paper() -> Image.Image:
    """Fibres and a fold."""
    image = _noise(0.25).filter(ImageFilter.GaussianBlur(1.5))
    ImageDraw.Draw(image).line((0, 350, 900, 356), fill=150, width=3)
    return image


TEXTLESS: Final[dict[str, Callable[[], Image.Image]]] = {
    "white": _sheet,
    "grey": lambda: _sheet(128),
    "black": lambda: _sheet(0),
    "noise": lambda: _noise(0.3),
    "strong noise": lambda: _noise(1.0),
    "dots": lambda: _speckles(3000, 2),
    "blots": lambda: _speckles(300, 14),
    "rules": _rules,
    "grid": _grid,
    "curves": _curves,
    "hatching": _hatching,
    "plan": _plan,
    "shades": _shades,
    "paper": _paper,
}
