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
"""Ideographs, fewer of which a drawing may look like."""


def doubted(page: Page, languages: Collection[str]) -> Page:
    """`page`, or the same with half the confidence, if no word of which the engine was sure has a letter or digit.

    A lone ideograph is none, in a job without Chinese, Japanese and Korean.
    """
    sure = [word for word in page.words() if word.confidence is not None and word.confidence > _SURE]
    if not sure:
        return page
    letters = [letter for word in sure for letter in word.text if letter.isalnum()]
    ideographs = 0
    for letter in letters:
        if not unicodedata.name(letter, "").startswith(_IDEOGRAPHIC):
            return page
        ideographs += 1
    if ideographs >= _CHANCE or (ideographs and any(name.startswith(_WITH_IDEOGRAPHS) for name in languages)):
        return page
    return page.model_copy(update={"blocks": tuple(map(_block, page.blocks))})


def _block(block: Block) -> Block:
    return _halved(block, paragraphs=tuple(map(_paragraph, block.paragraphs)))


def _paragraph(paragraph: Paragraph) -> Paragraph:
    return _halved(paragraph, lines=tuple(map(_line, paragraph.lines)))


def _line(line: Line) -> Line:
    return _halved(line, words=tuple(map(_word, line.words)))


def _word(word: Word) -> Word:
    if word.symbols is None:
        return _halved(word)
    return _halved(word, symbols=tuple(_halved(symbol) for symbol in word.symbols))


def _halved(region: R, **parts: Any) -> R:
    confidence = None if region.confidence is None else round(region.confidence / 2, 4)
    return region.model_copy(update={"confidence": confidence, **parts})
