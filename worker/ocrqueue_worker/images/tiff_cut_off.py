"""A page of a TIFF whose last strips are missing, as far as it is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.images.tiff_structure import first_directory, tiff_tags, with_part_of_values, with_single_values

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION, _CHANNELS, _PLANAR = 256, 257, 258, 259, 274, 277, 284
_OFFSETS, _ROWS, _SIZES = 273, 278, 279
_NO_TAG: Final = 0
_PLAIN: Final = 1
_MOST_STRIPS: Final = 100_000


@dataclass(frozen=True, slots=True)
class CutPage:
    """`data` has as its first page the upper `rows` of the `height` that the file announces."""

    data: bytes
    rows: int
    height: int

    @property
    def missing(self) -> float:
        return 1 - self.rows / self.height


def cut_page(data: bytes) -> CutPage | None:
    """The first page of `data` without the strips that are missing; None where that is not what is wrong with it."""
    tags = tiff_tags(data, first_directory(data), _MOST_STRIPS)
    width, height, offsets, sizes = _one(tags, _WIDTH), _one(tags, _HEIGHT), tags.get(_OFFSETS), tags.get(_SIZES)
    if not (width > 0 and height > 0 and offsets and sizes and len(offsets) == len(sizes)):
        return None
    if _one(tags, _PLANAR, 1) != 1 or _one(tags, _ORIENTATION, 1) != 1:
        return None
    each = min(_one(tags, _ROWS, height) or height, height)
    whole = next((n for n, (at, size) in enumerate(zip(offsets, sizes, strict=True)) if at + size > len(data)), None)
    strips = len(offsets) if whole is None else whole
    rows = strips * each
    if _one(tags, _COMPRESSION, 1) == _PLAIN:
        strips, rows = _plain_rows(data, tags, each)
    if not 0 < rows < height:
        return None
    for tag in (_OFFSETS, _SIZES):
        data = with_part_of_values(data, tag, 0, strips)
    return CutPage(with_single_values(data, {_HEIGHT: rows}, _NO_TAG), rows, height)


def _plain_rows(data: bytes, tags: dict[int, tuple[int, ...]], each: int) -> tuple[int, int]:
    """Strips of uncompressed pixels, and their rows. A part of the last one may be missing."""
    bits, channels = _one(tags, _BITS, 1), _one(tags, _CHANNELS, 1)
    row = -(-_one(tags, _WIDTH) * bits * channels // 8)
    rows = 0
    for number, (at, size) in enumerate(zip(tags[_OFFSETS], tags[_SIZES], strict=True)):
        there = min(each, max(0, min(size, len(data) - at)) // row)
        rows += there
        if there < each:
            return (number + (there > 0), rows)
    return len(tags[_OFFSETS]), rows


def at_full_height(page: PageImage, cut: CutPage) -> PageImage:
    """`page`, which is the upper part, with white below it."""
    width, rows = page.image.size
    scale = rows / cut.rows
    full = Image.new(page.image.mode, (width, max(rows, round(cut.height * scale))), "white")
    full.paste(page.image)
    size = (page.file_size[0], cut.height) if page.file_size else None
    return replace(page, image=full, file_size=size)


def _one(tags: dict[int, tuple[int, ...]], tag: int, otherwise: int = 0) -> int:
    values = tags.get(tag)
    return values[0] if values else otherwise
