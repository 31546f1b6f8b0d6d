"""A page's words in columns: a twentieth of the Document's JSON, which a browser takes in at once.

Text stays as it was read: `static/elements.js` shows it harmlessly.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from ocrqueue.document import Page, Word
from ocrqueue.document.formats.sanitise import pixel_box

LINE, PARAGRAPH, BLOCK = 0, 1, 2
NO_CONFIDENCE: Final = -1
_SIZE: Final = re.compile(rb'\{"number":\d+,"width":(\d+),"height":(\d+),')
_LONGEST: Final = 10_000
"""Letters of a word; there is no such word, and a browser need not lay it out."""


def columns(page: Page, engine: str) -> bytes:
    """JSON. `engine`: of the Document.

    `ends` has for each line the number of words up to its end, and what ends with it: 0 a line, 1 a paragraph, 2 a
    block. `others` has for each engine what it read otherwise: the word's number and a text, or null.
    """
    words: list[Word] = []
    ends: list[int] = []
    for word, end in _with_ends(page):
        words.append(word)
        if end is not None:
            ends += (len(words), end)
    own = page.engine or engine
    prefix = f"p{page.number:03d}-w"
    are_numbered = all(word.id == f"{prefix}{number:04d}" for number, word in enumerate(words, 1))
    told: dict[str, Any] = {
        "number": page.number,
        "width": page.width,
        "height": page.height,
        "rotation": page.rotation,
        "languages": page.languages,
        "engine": own if page.source is None else "pdf",
        "readings": [each.model_dump(mode="json") for each in page.trail],
        "error": None if page.error is None else page.error.model_dump(mode="json"),
        "ids": None if are_numbered else [word.id for word in words],
        "text": [word.text[:_LONGEST] for word in words],
        "boxes": [edge for word in words for edge in pixel_box(word.bbox, page)],
        "confidence": [percent(word.confidence) for word in words],
        "ends": ends,
        "joined": [number for number, word in enumerate(words) if not word.space_after],
        "engines": {number: word.engine for number, word in enumerate(words) if word.engine not in (None, own)},
        "others": _others(words),
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def percent(confidence: float | None) -> int:
    """Whole percents, rounded down: a word of 79.6 is below 80."""
    return NO_CONFIDENCE if confidence is None else math.floor(100 * confidence + 1e-9)


def size_of(told: bytes) -> tuple[int, int] | None:
    """The page's width and height, of what `columns` has told; None: it has none."""
    found = _SIZE.match(told)
    return (int(found[1]), int(found[2])) if found else None


def _with_ends(page: Page) -> Iterator[tuple[Word, int | None]]:
    for block in page.blocks:
        for paragraph in block.paragraphs:
            for line in paragraph.lines:
                kind = LINE
                if line is paragraph.lines[-1]:
                    kind = BLOCK if paragraph is block.paragraphs[-1] else PARAGRAPH
                last = len(line.words) - 1
                for number, word in enumerate(line.words):
                    yield word, kind if number == last else None


def _others(words: list[Word]) -> dict[str, dict[int, str | None]]:
    found: dict[str, dict[int, str | None]] = {}
    for number, word in enumerate(words):
        for engine, text in word.readings.items():
            others = found.setdefault(engine, {})
            if text != word.text:
                others[number] = None if text is None else text[:_LONGEST]
    return found
