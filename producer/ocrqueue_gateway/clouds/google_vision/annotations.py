"""A page as Google tells of it: pages > blocks > paragraphs > words > symbols, with the breaks between words.

The dicts have the names of the fields of google.cloud.vision.v1.AnnotateImageResponse. Vertices are whole pixels of an
image, or fractions of a file's page, in reading orientation as they are here. A confidence that is not known is left
out, and reads as 0.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ocrqueue.document import Document, Page, Paragraph, Polygon, Region, Word, box_of, mean_confidence, polygon_of
from ocrqueue.document.formats.sanitise import clamp
from ocrqueue.job.language_tags import tag_of

Fields = dict[str, Any]
_SPACE: Final = 1
_EOL_SURE_SPACE: Final = 3
_LINE_BREAK: Final = 5
"""TextAnnotation.DetectedBreak.BreakType."""
_WRITTEN: Final = {_SPACE: " ", _EOL_SURE_SPACE: "\n", _LINE_BREAK: "\n"}
_TEXT: Final = 1
"""Block.BlockType."""
_LARGEST: Final = 2**31 - 1
"""That a number in an answer may be."""
_JOINERS: Final = frozenset("\u200c\u200d")


@dataclass(frozen=True, slots=True)
class _Scale:
    """How places on the page are told: as whole pixels, or as fractions of its sides. What an engine sees beyond the
    page's edge lies on the edge."""

    page: Page
    in_fractions: bool = False

    def bounds(self, polygon: Polygon) -> Fields:
        width, height = self.page.width, self.page.height
        places = [(clamp(x, width), clamp(y, height)) for x, y in polygon]
        if not self.in_fractions:
            return {"vertices": [{"x": round(x), "y": round(y)} for x, y in places]}
        across, down = max(width, 1), max(height, 1)
        return {"normalized_vertices": [{"x": round(x / across, 6), "y": round(y / down, 6)} for x, y in places]}


def image_annotations(page: Page, document: Document) -> Fields:
    """An AnnotateImageResponse of an image: nothing where it has no words."""
    words = [word for word in page.words() if word.text]
    if not words:
        return {}
    scale = _Scale(page)
    whole = _full_text(page, document, scale, (page.width, page.height))
    entities = [{"description": word.text, "bounding_poly": scale.bounds(word.polygon)} for word in words]
    around = scale.bounds(polygon_of(box_of([word.polygon for word in words])))
    first: Fields = {"description": whole["text"], "bounding_poly": around}
    if languages := _languages(page, document):
        first["locale"] = languages[0]
    return {"text_annotations": [first, *entities], "full_text_annotation": whole}


def page_annotations(page: Page, document: Document) -> Fields:
    """The same of a file's page: places are fractions of its sides, which are in points where it is a PDF's."""
    if not any(word.text for word in page.words()):
        return {}
    across, down = (page.width, page.height) if page.size_pt is None else page.size_pt
    size = (round(clamp(across, _LARGEST)), round(clamp(down, _LARGEST)))
    return {"full_text_annotation": _full_text(page, document, _Scale(page, in_fractions=True), size)}


def _full_text(page: Page, document: Document, scale: _Scale, size: tuple[int, int]) -> Fields:
    text: list[str] = []
    blocks = [
        {
            "block_type": _TEXT,
            "paragraphs": [_paragraph(paragraph, scale, text) for paragraph in block.paragraphs],
            **_placed(block, scale),
        }
        for block in page.blocks
    ]
    found: Fields = {"width": size[0], "height": size[1], "blocks": blocks}
    if (confidence := mean_confidence(list(page.words()))) is not None:
        found["confidence"] = confidence
    if languages := _languages(page, document):
        found["property"] = {"detected_languages": [{"language_code": tag} for tag in languages]}
    return {"pages": [found], "text": "".join(text).removesuffix("\n")}


def _paragraph(paragraph: Paragraph, scale: _Scale, text: list[str]) -> Fields:
    words = []
    for number, line in enumerate(paragraph.lines, 1):
        at_end = _LINE_BREAK if number == len(paragraph.lines) else _EOL_SURE_SPACE
        shown = [word for word in line.words if word.text]
        for place, word in enumerate(shown, 1):
            after = at_end if place == len(shown) else _SPACE if word.space_after else 0
            text += [word.text, _WRITTEN.get(after, "")]
            words.append({"symbols": _symbols(word, scale, after), **_placed(word, scale)})
    return {"words": words, **_placed(paragraph, scale)}


def _symbols(word: Word, scale: _Scale, after: int) -> list[Fields]:
    """Those that the engine gave; else letters, which share the word's place and have its confidence."""
    own = word.symbols or ()
    if "".join(symbol.text for symbol in own) == word.text:
        symbols = [{"text": symbol.text, **_placed(symbol, scale)} for symbol in own]
    else:
        letters = list(_letters(word.text))
        symbols = [
            {**_placed(word, scale), "text": letter, "bounding_box": scale.bounds(_part(word.polygon, place, letters))}
            for place, letter in enumerate(letters)
        ]
    if after:
        symbols[-1]["property"] = {"detected_break": {"type_": after}}
    return symbols


def _letters(text: str) -> Iterator[str]:
    """What is seen as one: a letter with the marks on it."""
    letter = ""
    for character in text:
        belongs = unicodedata.category(character).startswith("M") or character in _JOINERS
        if letter and not belongs and letter[-1] not in _JOINERS:
            yield letter
            letter = ""
        letter += character
    yield letter


def _part(polygon: Polygon, place: int, letters: Sequence[str]) -> Polygon:
    """One of equal parts, along the text."""
    (a, b, c, d), start, end = polygon, place / len(letters), (place + 1) / len(letters)

    def along(first: tuple[float, float], second: tuple[float, float], share: float) -> tuple[float, float]:
        return (first[0] + (second[0] - first[0]) * share, first[1] + (second[1] - first[1]) * share)

    return (along(a, b, start), along(a, b, end), along(d, c, end), along(d, c, start))


def _placed(region: Region, scale: _Scale) -> Fields:
    placed: Fields = {"bounding_box": scale.bounds(region.polygon)}
    if region.confidence is not None:
        placed["confidence"] = region.confidence
    return placed


def _languages(page: Page, document: Document) -> list[str]:
    """Those that the page is in, or else that were asked for."""
    return list(dict.fromkeys(_known(page.languages) or _known(document.languages)))


def _known(languages: Iterable[str]) -> list[str]:
    return [tag for tag in map(tag_of, languages) if tag != "und"]
