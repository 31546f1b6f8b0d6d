"""The detector's lines as blocks: where they stand decides, and none is broken up.

The detector ends a line at every wide gap, so a row of a table, or an article and its price, comes as several. Those
that stand in one row become one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from ocrqueue.document import Block, Line, Paragraph, Word, box_of, mean_confidence
from ocrqueue_worker.engines.rapid.lines import stretch
from ocrqueue_worker.engines.rapid.scaling import Points
from ocrqueue_worker.layout import inferred_blocks
from ocrqueue_worker.layout.word_ids import word_id


def as_blocks(
    lines: Sequence[tuple[Points, Sequence[Word]]], page: int, size: tuple[float, float]
) -> tuple[Block, ...]:
    """Blocks in reading order of lines, each given by its corners (4 x 2, in reading order) and at least one word.

    `page` is the page's number, for the words' ids; `size` its width and height in pixels.
    """
    placed = []
    for number, (corners, words) in enumerate(lines):
        polygon = stretch(corners, 0, 1)
        placed.append(Word(id=str(number), text=words[0].text, polygon=polygon, bbox=box_of([polygon])))
    ids = (word_id(page, number) for number in count(1))

    def whole_line(line: Line) -> Line:
        parts = [lines[int(part.id)][1] for part in line.words]
        words = tuple(word.model_copy(update={"id": next(ids)}) for part in parts for word in part)
        polygon = line.words[0].polygon if len(parts) == 1 else line.polygon
        return line.model_copy(
            update={"words": words, "polygon": polygon, "bbox": box_of([polygon]), "confidence": mean_confidence(words)}
        )

    def whole_paragraph(paragraph: Paragraph) -> Paragraph:
        inner = tuple(whole_line(line) for line in paragraph.lines)
        return paragraph.model_copy(update={"lines": inner, "confidence": _confidence(inner)})

    def whole_block(block: Block) -> Block:
        inner = tuple(whole_paragraph(paragraph) for paragraph in block.paragraphs)
        found = _confidence(line for paragraph in inner for line in paragraph.lines)
        return block.model_copy(update={"paragraphs": inner, "confidence": found})

    return tuple(whole_block(block) for block in inferred_blocks(placed, size=size))


def _confidence(lines: Iterable[Line]) -> float | None:
    return mean_confidence([word for line in lines for word in line.words])
