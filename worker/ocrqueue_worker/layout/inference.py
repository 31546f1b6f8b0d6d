"""Blocks, paragraphs and lines of a Document from words alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from ocrqueue.document import Block, Line, Paragraph, Polygon, Word, box_of, mean_confidence
from ocrqueue_worker.layout.blocks import reading_order, stack_lines
from ocrqueue_worker.layout.columns import split_rows
from ocrqueue_worker.layout.directions import Flow, Words, find_flows
from ocrqueue_worker.layout.rows import find_rows
from ocrqueue_worker.layout.spans import Floats, Spans, joined, labels_of, weighted_median
from ocrqueue_worker.layout.word_ids import word_id

_DECIMALS: Final = 3
"""Of a pixel."""
_FLAT: Final = 0.05
"""Of the page's usual height of words: what is lower is taken for as high."""

_Grouped = list[list[list[int]]]
"""A block's paragraphs, each of lines, each of words by number."""


def build_blocks(words: Sequence[Word], page: int | None, size: tuple[float, float] | None) -> tuple[Block, ...]:
    """See `ocrqueue_worker.layout.inferred_blocks`; with at least one word."""
    # what is less than the last decimal that polygons are given with is nothing, and not to be divided by
    numbers = Words.of(np.round([word.polygon for word in words], _DECIMALS))
    builder = _Builder(words, numbers, page, size)
    return tuple(builder.block(block) for block in infer_order(numbers))


def infer_order(words: Words) -> list[_Grouped]:
    """Blocks of paragraphs of lines of words, by number, in reading order; every word is in one line."""
    flows = find_flows(words)
    blocks = [block for flow in flows for block in _blocks_of(words, flow)]
    frame = flows[0].frame
    boxes, heights = [], []
    for block in blocks:
        members = [word for paragraph in block for line in paragraph for word in line]
        points = words.quads[members].reshape(-1, 2) @ frame.T
        boxes.append(np.concatenate([points.min(axis=0), points.max(axis=0)]))
        heights.append(float(np.median(words.height[members])))
    return [blocks[number] for number in reading_order(np.array(boxes), np.array(heights))]


def _blocks_of(words: Words, flow: Flow) -> list[_Grouped]:
    """The blocks of one flow, whose words are numbered as the page's."""
    spans = _spans(words, flow)
    lines = split_rows(spans, find_rows(spans))
    blocks = stack_lines(joined(spans, labels_of(lines, len(spans))))
    return [[[flow.members[lines[line]].tolist() for line in paragraph] for paragraph in block] for block in blocks]


def _spans(words: Words, flow: Flow) -> Spans:
    start, end = words.start[flow.members] @ flow.frame.T, words.end[flow.members] @ flow.frame.T
    # a word that is turned far out of the flow, as short ones may be, has in it the extent that its corners have
    points = words.quads[flow.members] @ flow.frame.T
    extent = np.ptp(points, axis=1)
    is_turned = np.abs(end[:, 1] - start[:, 1]) > np.abs(end[:, 0] - start[:, 0])
    middle = points.mean(axis=1)
    half = np.column_stack([extent[:, 0] / 2, np.zeros(len(middle))])
    start = np.where(is_turned[:, None], middle - half, start)
    end = np.where(is_turned[:, None], middle + half, end)
    height = np.where(is_turned, extent[:, 1], words.height[flow.members])
    usual = float(np.median(height[height > 0])) if (height > 0).any() else max(float(extent.max()), 1.0)
    return Spans(start, end, np.maximum(height, _FLAT * usual))


class _Builder:
    """Turns words by number into a page's parts; counts the words."""

    def __init__(
        self, words: Sequence[Word], numbers: Words, page: int | None, size: tuple[float, float] | None
    ) -> None:
        self._words = words
        self._numbers = numbers
        self._page = page
        self._bounds: tuple[Floats, Floats] | None = None
        if size is not None:
            corners = numbers.quads.reshape(-1, 2)
            self._bounds = np.minimum(corners.min(axis=0), 0), np.maximum(corners.max(axis=0), size)
        self._count = 0

    def block(self, paragraphs: _Grouped) -> Block:
        parts = tuple(self.paragraph(paragraph) for paragraph in paragraphs)
        return Block(paragraphs=parts, **self._region(word for lines in paragraphs for line in lines for word in line))

    def paragraph(self, lines: list[list[int]]) -> Paragraph:
        parts = tuple(self.line(line) for line in lines)
        return Paragraph(lines=parts, **self._region(word for line in lines for word in line))

    def line(self, members: list[int]) -> Line:
        return Line(words=tuple(self.word(member) for member in members), **self._region(members))

    def word(self, number: int) -> Word:
        self._count += 1
        word = self._words[number]
        return word if self._page is None else word.model_copy(update={"id": word_id(self._page, self._count)})

    def _region(self, numbers: Iterable[int]) -> dict[str, Any]:
        members = list(numbers)
        polygon = self._around(members)
        confidence = mean_confidence([self._words[member] for member in members])
        return {"polygon": polygon, "bbox": box_of([polygon]), "confidence": confidence}

    def _around(self, members: list[int]) -> Polygon:
        """The rectangle around the words, turned as they are read."""
        frame = Flow(self._direction(members), np.array(members)).frame
        points = self._numbers.quads[members].reshape(-1, 2) @ frame.T
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) @ frame
        if self._bounds is not None:
            corners = corners.clip(*self._bounds)
        first, second, third, fourth = ((round(x, _DECIMALS), round(y, _DECIMALS)) for x, y in corners.tolist())
        return (first, second, third, fourth)

    def _direction(self, members: list[int]) -> Floats:
        """2: unit vector of the word that half of the text is turned further than; only long words count if any are."""
        along, width = self._numbers.along[members], self._numbers.width[members]
        weights = np.where(width >= 1.5 * self._numbers.height[members], width, width * 1e-6)
        total = (along * weights[:, None]).sum(axis=0)
        if not total.any():
            return np.array([1.0, 0.0])
        # the cross product with the mean direction has the sign and order of the angle to it
        turn = np.divide(along @ (-total[1], total[0]), width, out=np.zeros(len(width)), where=width > 0)
        middle = weighted_median(turn, weights)
        direction: Floats = along[middle] / width[middle]
        return direction
