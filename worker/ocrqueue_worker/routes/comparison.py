"""What several engines read on one page, word by word."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

from ocrqueue.document import Document, Page, Word
from ocrqueue_worker.geometry import polygon_area, polygon_iou
from ocrqueue_worker.routes.merging import with_words

_SAME_PLACE: Final = 0.5
"""Share of the smaller word from which two words stand in one place.

Not of their union: the boxes of some engines are as high as the letters, those of others as high as the line.
"""


def compared(document: Document, others: Mapping[str, Document]) -> Document:
    """`document`, each of its words with what the other engines read in its place, and how many of them agree."""
    pages_of = {engine: {page.number: page for page in other.pages} for engine, other in others.items()}
    pages = tuple(
        _compared_page(page, {engine: pages.get(page.number) for engine, pages in pages_of.items()})
        for page in document.pages
    )
    return document.model_copy(update={"pages": pages})


def _compared_page(page: Page, others: Mapping[str, Page | None]) -> Page:
    readable = {engine: other for engine, other in others.items() if other is not None and other.error is None}
    if not readable:
        return page
    places = {engine: _in_place_of(page, other) for engine, other in readable.items()}
    words = {}
    for word in page.words():
        found = {engine: places[engine].get(word.id) for engine in readable}
        same = sum(
            other is not None and _text(other, readable[engine], page) == _text(word, page, readable[engine])
            for engine, other in found.items()
        )
        readings = {engine: other.text if other else None for engine, other in found.items()}
        words[word.id] = word.model_copy(update={"readings": readings, "agreement": round(same / len(found), 4)})
    return with_words(page, words)


def _in_place_of(page: Page, other: Page) -> dict[str, Word]:
    """By the id of a word of `page`, the word of `other` that stands in its place; each stands for one at most."""
    words, candidates = list(page.words()), list(other.words())
    pairs = [
        (*_overlap(word, candidate), place, number)
        for place, word in enumerate(words)
        for number, candidate in enumerate(candidates)
        if _meet(word, candidate)
    ]
    found: dict[str, Word] = {}
    taken: set[int] = set()
    for _, of_smaller, place, number in sorted(pairs, key=lambda pair: (-pair[0], pair[2:])):
        if of_smaller >= _SAME_PLACE and words[place].id not in found and number not in taken:
            found[words[place].id] = candidates[number]
            taken.add(number)
    return found


def _overlap(one: Word, other: Word) -> tuple[float, float]:
    """What two words share, as parts of their union and of the smaller one."""
    union, areas = polygon_iou(one.polygon, other.polygon), (polygon_area(one.polygon), polygon_area(other.polygon))
    shared = union / (1 + union) * sum(areas)
    return union, shared / min(areas) if min(areas) > 0 else 0.0


def _meet(one: Word, other: Word) -> bool:
    left, top, right, bottom = one.bbox
    other_left, other_top, other_right, other_bottom = other.bbox
    return left < other_right and other_left < right and top < other_bottom and other_top < bottom


def _text(word: Word, page: Page, other: Page) -> str:
    """As it is compared: an engine that writes all in lower case says nothing of capitals."""
    text = unicodedata.normalize("NFC", word.text)
    return text.casefold() if "lower" in (page.text_case, other.text_case) else text
