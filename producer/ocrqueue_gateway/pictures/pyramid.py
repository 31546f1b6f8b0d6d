"""A page in every size, each half as large as the one before, cut into square tiles."""

from __future__ import annotations

import math
from io import BytesIO
from typing import Final

from PIL import Image

from ocrqueue_gateway.pictures.archive import ArchiveWriter

TILE: Final = 512
"""Pixels of a tile's side."""
THUMBNAIL: Final = 240
"""Pixels of a small picture's longer side."""
_QUALITY: Final = 86
_SMALL_QUALITY: Final = 78


def levels(width: int, height: int) -> list[tuple[int, int]]:
    """The sizes, from the smallest, which is one tile, to the whole."""
    sizes = [(width, height)]
    while max(sizes[-1]) > TILE:
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
    return sizes[::-1]


def tile_name(level: int, column: int, row: int) -> str:
    return f"{level}/{column}/{row}"


def write_tiles(picture: Image.Image, archive: ArchiveWriter) -> None:
    """All of them, as JPEG. The picture is used up."""
    sizes = levels(*picture.size)
    about = {"width": picture.width, "height": picture.height, "tile": TILE, "levels": len(sizes)}
    for level in range(len(sizes) - 1, -1, -1):
        if picture.size != sizes[level]:
            picture = picture.reduce(2)
        for row in range(math.ceil(picture.height / TILE)):
            for column in range(math.ceil(picture.width / TILE)):
                left, top = column * TILE, row * TILE
                box = (left, top, min(left + TILE, picture.width), min(top + TILE, picture.height))
                archive.add(tile_name(level, column, row), _jpeg(picture.crop(box), _QUALITY))
    archive.close(about)


def thumbnail(picture: Image.Image) -> bytes:
    """Small, as JPEG. The picture is used up."""
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _jpeg(picture, _SMALL_QUALITY)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    written = BytesIO()
    # the colours of thin letters are kept
    picture.save(written, "JPEG", quality=quality, subsampling=0)
    return written.getvalue()
