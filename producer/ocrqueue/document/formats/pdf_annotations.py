"""The words of a page as a PDF's annotations: a frame around each, in the colour of its confidence."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ocrqueue.document import Page
from ocrqueue.document.formats.pdf_text import Matrix
from ocrqueue.document.formats.sanitise import inline_text, pixel_box

_GREY: Final = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Frame:
    box: tuple[int, int, int, int]
    """In pixels of the Document."""
    colour: tuple[float, float, float]
    text: str


def frames(page: Page) -> Iterator[Frame]:
    """One for each word, from red (confidence 0) to green (1), grey where the engine gives none."""
    for word in page.words():
        share = "" if word.confidence is None else f" ({100 * word.confidence:.0f} %)"
        hue = None if word.confidence is None else word.confidence / 3
        colour = _GREY if hue is None else colorsys.hsv_to_rgb(hue, 0.9, 0.8)
        yield Frame(pixel_box(word.bbox, page), colour, inline_text(word.text) + share)


def moved_box(matrix: Matrix, box: tuple[int, int, int, int]) -> list[float]:
    """The box in the page's own units: left, bottom, right, top."""
    a, b, c, d, e, f = matrix
    corners = [(a * x + c * y + e, b * x + d * y + f) for x, y in (box[:2], box[2:])]
    xs, ys = zip(*corners, strict=True)
    return [round(side, 3) for side in (min(xs), min(ys), max(xs), max(ys))]
