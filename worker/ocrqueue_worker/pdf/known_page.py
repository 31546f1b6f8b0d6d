"""A page as a PDF's own text tells it: words of lines of blocks, without confidences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final, Literal, cast

from ocrqueue.document import Block, Box, Line, Page, Paragraph, Region, Word, box_of, polygon_of
from ocrqueue_worker.layout.word_ids import word_id

_APART: Final = 1.0
"""Lines of a block are not farther from each other than so many times their height."""


def known_page(
    number: int, size: tuple[int, int], dpi: float, size_pt: tuple[float, float], words: Iterable[Mapping[str, Any]]
) -> Page:
    """`words`: see ocrqueue_worker.pdf.text."""
    shown = [each for each in words if _is_on_page(each["box"], size)]
    made = [(each["line"], each["quarters"] % 4, _word(number, place, each)) for place, each in enumerate(shown, 1)]
    lines = [_line([word for _, _, word in found]) for _, found in groupby(made, key=lambda each: (each[0], each[1]))]
    return Page(
        number=number,
        width=size[0],
        height=size[1],
        dpi=dpi,
        size_pt=size_pt,
        source="pdf",
        rotation=cast("Literal[0, 90, 180, 270]", _rotation([quarters for _, quarters, _ in made])),
        blocks=tuple(_block(found) for found in _blocks(lines)),
    )


def _is_on_page(box: Box, size: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    return right > 0 and bottom > 0 and left < size[0] and top < size[1]


def _word(page: int, place: int, told: Mapping[str, Any]) -> Word:
    left, top, right, bottom = (round(float(side), 2) for side in told["box"])
    box = (left, top, max(right, left + 0.1), max(bottom, top + 0.1))
    corners, quarters = polygon_of(box), told["quarters"] % 4
    polygon = (*corners[quarters:], *corners[:quarters])
    return Word(
        id=word_id(page, place),
        text=str(told["text"]),
        polygon=cast("Any", polygon),
        bbox=box,
        space_after=bool(told["space_after"]),
    )


def _rotation(quarters: list[int]) -> int:
    """That of most words."""
    return max(range(4), key=lambda each: (quarters.count(each), -each)) * 90


def _line(words: list[Word]) -> Line:
    return Line(words=tuple(words), **_around(words))


def _blocks(lines: list[Line]) -> Iterable[list[Line]]:
    """Lines that follow each other closely."""
    block: list[Line] = []
    for line in lines:
        if block and not _are_close(block[-1].bbox, line.bbox):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _are_close(one: Box, other: Box) -> bool:
    high = min(one[2] - one[0], one[3] - one[1], other[2] - other[0], other[3] - other[1])
    gap = _APART * high
    return one[0] - gap < other[2] and other[0] - gap < one[2] and one[1] - gap < other[3] and other[1] - gap < one[3]


def _block(lines: list[Line]) -> Block:
    paragraph = Paragraph(lines=tuple(lines), **_around(lines))
    return Block(paragraphs=(paragraph,), **_around([paragraph]))


def _around(parts: Iterable[Region]) -> dict[str, Any]:
    box = box_of([part.polygon for part in parts])
    return {"polygon": polygon_of(box), "bbox": box}
