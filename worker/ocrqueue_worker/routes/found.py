"""Lines that only the second engine saw, in their places on the page that the first one read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final

from ocrqueue.document import Block, Line, Page, Paragraph, Region, Word, box_of, mean_confidence, polygon_of
from ocrqueue_worker.layout.word_ids import word_id
from ocrqueue_worker.routes.assessment import mean_of
from ocrqueue_worker.routes.places import alone

_SURE: Final = 0.7
"""Mean confidence from which what nobody else saw is text: it may be a speck, or a piece of a picture."""
_SAME_ROW: Final = 0.5
"""Of the lower one's height: two lines that share so much stand in one row."""


def with_found(page: Page, found: Sequence[Line], engine: str) -> Page:
    """`page` with the lines that `engine` found and is sure of; its words are numbered again, in order.

    One that stands in the row of another line, as a price does, is part of it; others are blocks of their own, before
    the first that begins below.
    """
    standing = list(page.words())
    for line in found:
        words = tuple(alone(line.words, standing))
        if words and (mean_of(words) or 0.0) >= _SURE:
            own = tuple(word.model_copy(update={"engine": engine, "crop": None}) for word in words)
            page = _with_line(page, own)
            standing += own
    return _numbered(page)


def _with_line(page: Page, words: tuple[Word, ...]) -> Page:
    box = box_of([word.polygon for word in words])
    row = next((line for line in page.lines() if _is_row(line, words)), None)
    if row is not None:
        together = tuple(sorted((*row.words, *words), key=lambda word: word.bbox[0]))
        return _replaced(page, row, together)
    line = Line(words=words, polygon=polygon_of(box), bbox=box, confidence=mean_confidence(words))
    paragraph = Paragraph(lines=(line,), polygon=line.polygon, bbox=box, confidence=line.confidence)
    block = Block(paragraphs=(paragraph,), polygon=line.polygon, bbox=box, confidence=line.confidence)
    place = next((at for at, other in enumerate(page.blocks) if other.bbox[1] > box[1]), len(page.blocks))
    return page.model_copy(update={"blocks": (*page.blocks[:place], block, *page.blocks[place:])})


def _is_row(line: Line, words: Sequence[Word]) -> bool:
    """Whether the words stand beside those of a line that runs to the right."""
    left, top, right, bottom = box_of([word.polygon for word in words])
    if line.polygon[1][0] - line.polygon[0][0] <= abs(line.polygon[1][1] - line.polygon[0][1]):
        return False
    shared = min(bottom, line.bbox[3]) - max(top, line.bbox[1])
    apart = all(word.bbox[2] <= left or word.bbox[0] >= right for word in line.words)
    return apart and shared >= _SAME_ROW * min(bottom - top, line.bbox[3] - line.bbox[1])


def _replaced(page: Page, row: Line, words: tuple[Word, ...]) -> Page:
    """The page with more words in one of its lines, and what is around it as large as it then is."""

    def line_of(line: Line) -> Line:
        box = box_of([row.polygon, *(word.polygon for word in words)])
        longer = {"words": words, "polygon": polygon_of(box), "bbox": box, "confidence": mean_confidence(words)}
        return line.model_copy(update=longer) if line is row else line

    def paragraph_of(paragraph: Paragraph) -> Paragraph:
        lines = tuple(map(line_of, paragraph.lines))
        return paragraph.model_copy(update={"lines": lines, **_around(paragraph, lines)})

    def block_of(block: Block) -> Block:
        if not any(line is row for paragraph in block.paragraphs for line in paragraph.lines):
            return block
        paragraphs = tuple(map(paragraph_of, block.paragraphs))
        return block.model_copy(update={"paragraphs": paragraphs, **_around(block, paragraphs)})

    return page.model_copy(update={"blocks": tuple(map(block_of, page.blocks))})


def _around(region: Region, parts: Sequence[Region]) -> dict[str, object]:
    """A region that its parts have outgrown, as an upright box; else as it is."""
    box = box_of([region.polygon, *(part.polygon for part in parts)])
    grown = {"polygon": polygon_of(box), "bbox": box} if box != region.bbox else {}
    return {**grown, "confidence": mean_confidence(parts)}


def _numbered(page: Page) -> Page:
    numbers = count(1)
    blocks = []
    for block in page.blocks:
        paragraphs = []
        for paragraph in block.paragraphs:
            lines = []
            for line in paragraph.lines:
                ids = (word_id(page.number, next(numbers)) for _ in line.words)
                words = tuple(word.model_copy(update={"id": name}) for word, name in zip(line.words, ids, strict=True))
                lines.append(line.model_copy(update={"words": words}))
            paragraphs.append(paragraph.model_copy(update={"lines": tuple(lines)}))
        blocks.append(block.model_copy(update={"paragraphs": tuple(paragraphs)}))
    return page.model_copy(update={"blocks": tuple(blocks)})
