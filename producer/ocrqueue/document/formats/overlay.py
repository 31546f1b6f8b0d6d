"""A page with its words marked, and beside it what was read, each word in the place where it stands on the page.

Labels in the margins or above the boxes, as other tools draw them, cover each other on a dense page. A second sheet
has room for every word, and whoever compares finds a word and its reading at the same height.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from statistics import median
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Document, Line, Page, Point, Word
from ocrqueue.document.formats.fonts import Font, font_for
from ocrqueue.document.formats.page_image import open_page
from ocrqueue.document.formats.sanitise import clamp, inline_text

__all__ = ["draw_overlay", "open_page"]

Colour = tuple[int, int, int]

_GREY: Final[Colour] = (128, 128, 128)
_INK: Final[Colour] = (16, 16, 16)
_FONT_SIZES_PX: Final = (8, 300)
_REFERENCE_SIZE_PX: Final = 40
_LONGEST_LABEL: Final = 100
_WIDEST_STRETCH: Final = 1.25


def draw_overlay(document: Document, page_image: Image.Image, page_number: int) -> Image.Image:
    """Page `page_number` with a polygon around each word, and a second sheet with the words' text.

    `page_image` is the page as viewed (see open_page), of any size: polygons are scaled to it. The result has mode
    RGB; the page lies at its origin, unscaled, the second sheet of the same size right of it, or below it where the
    page is wider than high. Colours run from red (confidence 0) to green (1); grey where the engine gives none.
    Raises PageNotFound where the Document has no such page.
    """
    page = document.page(page_number)
    width, height = page_image.size
    beside = width <= height
    sheet_origin = (width, 0) if beside else (0, height)
    canvas = Image.new("RGB", (2 * width, height) if beside else (width, 2 * height), "white")
    canvas.paste(page_image.convert("RGB"))
    sheet = Image.new("RGB", (width, height), "white")
    _draw_words(page, canvas, sheet, (width, height))
    canvas.paste(sheet, sheet_origin)
    ImageDraw.Draw(canvas).line([sheet_origin, (width, height)], fill=_GREY)
    return canvas


@dataclass(frozen=True, slots=True)
class _Quad:
    """A word's polygon in pixels of the picture, and the upright box that it becomes when turned by `angle`."""

    corners: tuple[Point, Point, Point, Point]
    centre: Point
    width: float
    height: float
    angle: float
    """Degrees clockwise."""


def _draw_words(page: Page, canvas: Image.Image, sheet: Image.Image, size: tuple[int, int]) -> None:
    on_page, on_sheet = ImageDraw.Draw(canvas, "RGBA"), ImageDraw.Draw(sheet)
    for line in page.lines():
        quads = [_quad(word, page, size) for word in line.words]
        font_size = _font_size(line, quads)
        pen = max(1, round(font_size / 30))
        for word, quad in zip(line.words, quads, strict=True):
            colour = _colour(word.confidence)
            on_page.polygon(quad.corners, fill=(*colour, 40), outline=(*colour, 255), width=pen)
            on_sheet.polygon(quad.corners, fill=_tint(colour))
            _draw_label(sheet, _label(word), quad, font_size)


def _quad(word: Word, page: Page, size: tuple[int, int]) -> _Quad:
    scale_x, scale_y = size[0] / max(page.width, 1), size[1] / max(page.height, 1)
    corners = tuple((clamp(x * scale_x, size[0] - 1), clamp(y * scale_y, size[1] - 1)) for x, y in word.polygon)
    top_left, top_right, bottom_right, bottom_left = corners
    return _Quad(
        corners=(top_left, top_right, bottom_right, bottom_left),
        centre=(sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4),
        width=(math.dist(top_left, top_right) + math.dist(bottom_left, bottom_right)) / 2,
        height=(math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right)) / 2,
        angle=math.degrees(math.atan2(top_right[1] - top_left[1], top_right[0] - top_left[0])),
    )


def _font_size(line: Line, quads: list[_Quad]) -> int:
    """The size at which most words of the line are as high as on the page: "more" is lower than "Type"."""
    ratios = []
    for word, quad in zip(line.words, quads, strict=True):
        label = _label(word)
        _, top, _, bottom = _ink_box(label, font_for(label, _REFERENCE_SIZE_PX))
        if bottom > top:
            ratios.append(quad.height / (bottom - top))
    smallest, largest = _FONT_SIZES_PX
    return max(smallest, min(largest, round(_REFERENCE_SIZE_PX * median(ratios)))) if ratios else smallest


def _draw_label(sheet: Image.Image, label: str, quad: _Quad, font_size: int) -> None:
    font = font_for(label, font_size)
    left, top, right, bottom = _ink_box(label, font)
    if right <= left or bottom <= top:
        return
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), _drawable(label, font), font=font, fill=255)
    width = max(1, round(min(quad.width, _WIDEST_STRETCH * mask.width)))
    mask = mask.resize((width, mask.height)).rotate(-quad.angle, Image.Resampling.BICUBIC, expand=True)
    corner = (round(quad.centre[0] - mask.width / 2), round(quad.centre[1] - mask.height / 2))
    sheet.paste(_INK, corner, mask)


def _label(word: Word) -> str:
    text = inline_text(word.text)
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _ink_box(label: str, font: Font) -> tuple[int, int, int, int]:
    left, top, right, bottom = font.getbbox(_drawable(label, font))
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _drawable(label: str, font: Font) -> str:
    """Pillow's bitmap font, all that is left where it was built without FreeType, raises beyond Latin-1."""
    if isinstance(font, ImageFont.FreeTypeFont):
        return label
    return label.encode("latin-1", "replace").decode("latin-1")


def _colour(confidence: float | None) -> Colour:
    if confidence is None:
        return _GREY
    red, green, blue = colorsys.hsv_to_rgb(confidence / 3, 0.9, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def _tint(colour: Colour) -> Colour:
    red, green, blue = ((channel + 3 * 255) // 4 for channel in colour)
    return red, green, blue
