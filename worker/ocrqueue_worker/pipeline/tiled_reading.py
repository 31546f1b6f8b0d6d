"""Pages that are longer than an engine reads without making them smaller: read in tiles that overlap.

Each tile has a share of the page. A word belongs to the tile that has its middle in its share. Shares meet in the
middle of an overlap: what the edge of a tile cuts through belongs to another tile, which has all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from ocrqueue.document import Page, Preparation, Word
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.layout import inferred_blocks
from ocrqueue_worker.pipeline.engine_call import Result, recognise
from ocrqueue_worker.preparation.affine import page_moved

_OVERLAP: Final = 0.2
"""Of a tile's side: half of it is more than a word of usual size has, from its middle to its end."""
_STRIP: Final = 3.0
"""A page so many times as long as broad is one: made smaller, its letters would be lost."""
_LONG: Final = 1.5
"""In sides of a tile: a strip that is longer is read in tiles."""
_NOT_AS_IT_IS: Final = 1.2
"""In sides of a tile: another page that is longer, and reads badly, is tried in tiles."""

Span = tuple[int, int]


@dataclass(frozen=True)
class _Tile:
    x: Span
    y: Span
    own_x: tuple[float, float]
    own_y: tuple[float, float]

    def owns(self, word: Word) -> bool:
        left, top, right, bottom = word.bbox
        x, y = (left + right) / 2, (top + bottom) / 2
        return self.own_x[0] <= x < self.own_x[1] and self.own_y[0] <= y < self.own_y[1]


def is_long_strip(image: PageImage, side: int | None) -> bool:
    """Whether the page is to be read in tiles from the first. `side`: the engine's longest."""
    if side is None:
        return False
    shorter, longer = sorted(image.image.size)
    return longer > _LONG * side and longer > _STRIP * shorter


def may_be_tiled(image: PageImage, side: int | None) -> bool:
    """Whether tiles are worth a try where the page reads badly."""
    return side is not None and max(image.image.size) > _NOT_AS_IT_IS * side and not is_long_strip(image, side)


def read_in_tiles(engine: Engine[Any], image: PageImage, side: int, reading: Reading[Any]) -> Result:
    """One Page of all tiles, or the first error. One tile is held in memory at a time."""
    width, height = image.image.size
    words: list[Word] = []
    pages: list[Page] = []
    for tile in _tiles(width, height, side):
        part = image.image.crop((tile.x[0], tile.y[0], tile.x[1], tile.y[1]))
        (result,) = recognise(engine, [replace(image, image=part, file_size=None)], reading)
        if not isinstance(result, Page):
            return result
        pages.append(result.model_copy(update={"blocks": ()}))
        placed = page_moved(result, (1.0, 0.0, tile.x[0], 0.0, 1.0, tile.y[0]), (width, height))
        words += filter(tile.owns, placed.words())
    return pages[0].model_copy(
        update={
            "width": width,
            "height": height,
            "layout": "inferred",
            "blocks": inferred_blocks(words, page=image.number, size=(width, height)),
            "preparation": Preparation(steps=(), tiles=len(pages)),
        }
    )


def _tiles(width: int, height: int, side: int) -> Iterator[_Tile]:
    across, down = _spans(width, side), _spans(height, side)
    for y, own_y in zip(down, _shares(down), strict=True):
        for x, own_x in zip(across, _shares(across), strict=True):
            yield _Tile(x, y, own_x, own_y)


def _spans(length: int, side: int) -> list[Span]:
    """Of one side of the page: spans of equal length that overlap."""
    if length <= side:
        return [(0, length)]
    count = 1 + -(-(length - side) // round(side * (1 - _OVERLAP)))
    starts = [round(place * (length - side) / (count - 1)) for place in range(count)]
    return [(start, start + side) for start in starts]


def _shares(spans: Sequence[Span]) -> list[tuple[float, float]]:
    seams = [(before[1] + after[0]) / 2 for before, after in pairwise(spans)]
    edges = [float("-inf"), *seams, float("inf")]
    return list(pairwise(edges))
