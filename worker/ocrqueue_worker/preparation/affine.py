"""From one picture's pixels into another's, for points and for whole pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ocrqueue.document import Block, Line, Page, Paragraph, Point, Polygon, Region, Symbol, Word, box_of

R = TypeVar("R", bound=Region)

Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: (x, y) goes to (a x + b y + c, d x + e y + f). As Pillow's Image.transform() has it."""

IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def then(first: Affine, second: Affine) -> Affine:
    """`first`, and `second` of what that gives."""
    a, b, c, d, e, f = first
    p, q, r, s, t, u = second
    return (p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u)


def scaling(across: float, down: float) -> Affine:
    return (across, 0.0, 0.0, 0.0, down, 0.0)


def moved(point: Point, by: Affine) -> Point:
    (x, y), (a, b, c, d, e, f) = point, by
    return (a * x + b * y + c, d * x + e * y + f)


def page_moved(page: Page, by: Affine, size: tuple[int, int]) -> Page:
    """`page`, all its regions moved, on a picture of `size`, in which they end at the edge."""

    def point(at: Point) -> Point:
        x, y = moved(at, by)
        return (round(min(max(x, 0.0), size[0]), 2), round(min(max(y, 0.0), size[1]), 2))

    blocks = tuple(_block(block, point) for block in page.blocks)
    return page.model_copy(update={"width": size[0], "height": size[1], "blocks": blocks})


def _block(block: Block, move: Callable[[Point], Point]) -> Block:
    return _region(block, move, paragraphs=tuple(_paragraph(each, move) for each in block.paragraphs))


def _paragraph(paragraph: Paragraph, move: Callable[[Point], Point]) -> Paragraph:
    return _region(paragraph, move, lines=tuple(_line(line, move) for line in paragraph.lines))


def _line(line: Line, move: Callable[[Point], Point]) -> Line:
    return _region(line, move, words=tuple(_word(word, move) for word in line.words))


def _word(word: Word, move: Callable[[Point], Point]) -> Word:
    if word.symbols is None:
        return _region(word, move)
    symbols: tuple[Symbol, ...] = tuple(_region(symbol, move) for symbol in word.symbols)
    return _region(word, move, symbols=symbols)


def _region(region: R, move: Callable[[Point], Point], **parts: object) -> R:
    first, second, third, fourth = map(move, region.polygon)
    polygon: Polygon = (first, second, third, fourth)
    return region.model_copy(update={"polygon": polygon, "bbox": box_of([polygon]), **parts})
