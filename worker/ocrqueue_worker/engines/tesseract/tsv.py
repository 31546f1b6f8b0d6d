"""Tesseract's TSV as a page's blocks.

Format (tesseract/src/api/baseapi.cpp, GetTSVText): twelve tab-separated columns: level (1 page, 2 block,
3 paragraph, 4 line, 5 word), page_num, block_num, par_num, line_num, word_num, left, top, width, height (pixels),
conf (0 to 100, -1 for levels above word), text. Rows come in reading order, each level before what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ocrqueue.document import Block, Box, Line, Paragraph, Polygon, Word, box_of, mean_confidence, polygon_of
from ocrqueue_worker.engines.tesseract.backend import Output
from ocrqueue_worker.engines.tesseract.spacing import follows_directly, is_one_word, is_unspaced
from ocrqueue_worker.layout.word_ids import word_id

_COLUMNS = 12
_WORD = 5
_BLANK = " \t\r\n\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Also the marks of direction that Tesseract puts beside words in lines of both directions."""

PlacePolygon = Callable[[Polygon], Polygon]
"""From the frame in which Tesseract saw the page to the original's."""


@dataclass(slots=True)
class _Node:
    level: int
    box: Box
    text: str = ""
    confidence: float | None = None
    space_after: bool = True
    children: list[_Node] = field(default_factory=list)

    def append(self, word: _Node) -> None:
        """Take in the rest of a word that Tesseract parted; confidences weigh by their characters."""
        if self.confidence is not None and word.confidence is not None:
            characters = len(self.text) + len(word.text)
            weighted = self.confidence * len(self.text) + word.confidence * len(word.text)
            self.confidence = round(weighted / characters, 4)
        self.text += word.text
        self.box = box_of([polygon_of(self.box), polygon_of(word.box)])


def parse_output(output: Output, page_number: int, place: PlacePolygon) -> tuple[Block, ...]:
    """The blocks that hold words. Blank words, and what is empty without them, are left out."""
    builder = _Builder(page_number, place)
    return tuple(block for node in _tree(output).children if (block := builder.block(node)) is not None)


class _Builder:
    """Turns nodes into a page's parts; counts the words."""

    def __init__(self, page_number: int, place: PlacePolygon) -> None:
        self._page_number = page_number
        self._place = place
        self._words = 0

    def block(self, node: _Node) -> Block | None:
        parts = tuple(part for child in node.children if (part := self.paragraph(child)) is not None)
        words = [word for part in parts for line in part.lines for word in line.words]
        return Block(paragraphs=parts, **self._region(node, words)) if parts else None

    def paragraph(self, node: _Node) -> Paragraph | None:
        lines = tuple(line for child in node.children if (line := self.line(child)) is not None)
        words = [word for line in lines for word in line.words]
        return Paragraph(lines=lines, **self._region(node, words)) if lines else None

    def line(self, node: _Node) -> Line | None:
        words = tuple(self.word(child) for child in node.children)
        return Line(words=words, **self._region(node, words)) if words else None

    def word(self, node: _Node) -> Word:
        self._words += 1
        return Word(
            id=word_id(self._page_number, self._words),
            text=node.text,
            space_after=node.space_after,
            **(self._region(node, ()) | {"confidence": node.confidence}),
        )

    def _region(self, node: _Node, words: Sequence[Word]) -> dict[str, Any]:
        polygon = self._place(polygon_of(node.box))
        return {"polygon": polygon, "bbox": box_of([polygon]), "confidence": mean_confidence(words)}


def _tree(output: Output) -> _Node:
    root = _Node(1, (0, 0, 0, 0))
    path = [root]
    rows = list(_rows(output.tsv))
    direct = iter(follows_directly([row.text for row in rows if row.level == _WORD], output.text))
    for row in rows:
        if row.level == _WORD:
            before = path[-1] if path[-1].level == _WORD else None
            if next(direct) and before is not None:
                if is_one_word(before.text, row.text):
                    before.append(row)
                    continue
                before.space_after = not is_unspaced(before.text, row.text)
        while path[-1].level >= row.level:
            path.pop()
        path[-1].children.append(row)
        path.append(row)
    return root


def _rows(tsv: str) -> Iterator[_Node]:
    for row in tsv.split("\n"):
        columns = row.split("\t", _COLUMNS - 1)
        if len(columns) < _COLUMNS - 1 or not columns[0].isdigit() or not 2 <= int(columns[0]) <= _WORD:
            continue
        level = int(columns[0])
        left, top, width, height = (int(value) for value in columns[6:10])
        text = columns[11].strip(_BLANK) if len(columns) == _COLUMNS else ""
        if level == _WORD and not text:
            continue
        confidence = float(columns[10])
        yield _Node(
            level=level,
            box=(left, top, left + width, top + height),
            text=text,
            confidence=round(min(confidence, 100) / 100, 4) if confidence >= 0 else None,
        )
