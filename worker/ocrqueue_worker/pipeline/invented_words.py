"""Pages on which all that was read may be no text at all: dots and drawings that pass for marks, or for a character of
a script that the job does not name. Engines are sure of those; here their confidence is halved."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Any, Final, TypeVar

from ocrqueue.document import Block, Line, Page, Paragraph, Region, Word

R = TypeVar("R", bound=Region)

_SURE: Final = 0.5
_IDEOGRAPHIC: Final = ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "IDEOGRAPHIC")
_WITH_IDEOGRAPHS: Final = ("chi", "jpn", "kor", "Han", "script/Han", "script/Japanese")
_CHANCE: Final = 4
"""Ideographs. A drawing may look like fewer than this."""


def doubted(page: Page, languages: Collection[str]) -> Page:
    """`page`, or the same with half the confidence: if most words that the engine was sure of have no letter or digit.

    A few ideographs are none, in a job without Chinese, Japanese and Korean.
    """
    known = ((word.text, word.engine_confidence) for word in page.words())
    sure = [text for text, confidence in known if confidence is not None and confidence > _SURE]
    written = [text for text in sure if any(map(str.isalnum, text))]
    ideographs = [text for text in written if all(map(_is_ideographic, filter(str.isalnum, text)))]
    if sum(map(len, ideographs)) < _CHANCE and not any(name.startswith(_WITH_IDEOGRAPHS) for name in languages):
        written = [text for text in written if text not in ideographs]
    if 2 * len(written) >= len(sure):
        return page
    return page.model_copy(update={"blocks": tuple(map(_block, page.blocks))})


def _is_ideographic(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_IDEOGRAPHIC)


def _block(block: Block) -> Block:
    return _halved(block, paragraphs=tuple(map(_paragraph, block.paragraphs)))


def _paragraph(paragraph: Paragraph) -> Paragraph:
    return _halved(paragraph, lines=tuple(map(_line, paragraph.lines)))


def _line(line: Line) -> Line:
    return _halved(line, words=tuple(map(_word, line.words)))


def _word(word: Word) -> Word:
    parts: dict[str, Any] = {}
    if word.raw_confidence is not None:
        parts["raw_confidence"] = _half(word.raw_confidence)
    if word.symbols is not None:
        parts["symbols"] = tuple(_halved(symbol) for symbol in word.symbols)
    return _halved(word, **parts)


def _halved(region: R, **parts: Any) -> R:
    return region.model_copy(update={"confidence": _half(region.confidence), **parts})


def _half(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence / 2, 4)
