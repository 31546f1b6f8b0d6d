"""Pages as people scan and photograph them: turned, tilted, dim, small or mirrored, made from good ones by chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from PIL import Image, ImageChops

from ocrqueue_worker.preparation.affine import Affine

_SKEWS: Final = (3.0, 12.0)
_SHADES: Final = (0.2, 0.45)
_SMALLER: Final = (0.55, 0.7)


@dataclass(frozen=True)
class Spoiled:
    """`to_spoiled` says where a point of the good page is on `image`."""

    image: Image.Image
    to_spoiled: Affine


def turned(image: Image.Image, chance: Random, degrees: int) -> Spoiled:
    """Clockwise."""
    del chance
    width, height = image.size
    how, where = {
        90: (Image.Transpose.ROTATE_270, (0.0, -1.0, height, 1.0, 0.0, 0.0)),
        180: (Image.Transpose.ROTATE_180, (-1.0, 0.0, width, 0.0, -1.0, height)),
        270: (Image.Transpose.ROTATE_90, (0.0, 1.0, 0.0, -1.0, 0.0, width)),
    }[degrees]
    return Spoiled(image.transpose(how), where)


def mirrored(image: Image.Image, chance: Random) -> Spoiled:
    del chance
    return Spoiled(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (-1.0, 0.0, image.width, 0.0, 1.0, 0.0))


def skewed(image: Image.Image, chance: Random) -> Spoiled:
    """By 3 to 12 degrees, either way, on white."""
    degrees = chance.uniform(*_SKEWS) * chance.choice((-1, 1))
    tilted = image.rotate(-degrees, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across, down = image.width / 2, image.height / 2
    return Spoiled(
        tilted,
        (
            *(cos, -sin, tilted.width / 2 - cos * across + sin * down),
            *(sin, cos, tilted.height / 2 - sin * across - cos * down),
        ),
    )


def darkened(image: Image.Image, chance: Random) -> Spoiled:
    """To a fifth up to less than half of its light, and by as much again less towards one corner."""
    shade = chance.uniform(*_SHADES)
    slope = Image.linear_gradient("L").rotate(chance.choice((0, 90, 180, 270))).resize(image.size)
    light = slope.point([round(255 * shade * (0.5 + level / 510)) for level in range(256)])
    return Spoiled(ImageChops.multiply(image.convert("L"), light), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))


def shrunk(image: Image.Image, chance: Random) -> Spoiled:
    """To between 0.55 and 0.7 of its width."""
    scale = chance.uniform(*_SMALLER)
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    return Spoiled(small, (small.width / image.width, 0.0, 0.0, 0.0, small.height / image.height, 0.0))


KINDS: Final[dict[str, Callable[[Image.Image, Random], Spoiled]]] = {
    "turned by 90": lambda image, chance: turned(image, chance, 90),
    "turned by 180": lambda image, chance: turned(image, chance, 180),
    "turned by 270": lambda image, chance: turned(image, chance, 270),
    "skewed": skewed,
    "darkened": darkened,
    "shrunk": shrunk,
    "mirrored": mirrored,
}


def spoiled(image: Image.Image, kind: str, seed: int, number: int) -> Spoiled:
    """The same for the same arguments."""
    return KINDS[kind](image, Random(f"{kind}/{seed}/{number}"))
