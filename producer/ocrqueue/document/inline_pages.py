"""The pages of a large Document that is one JSON: each is made when it is looked at and not kept.

All words at once take eight times the memory of their JSON, and most of the time of reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ocrqueue.document.page import Page
from ocrqueue.document.stored_pages import LazyPages, PageObject


class InlinePages(LazyPages):
    """Pages that stand at `places` of `data`; `parse` makes a page of its bytes. `words`: how many all pages have."""

    def __init__(
        self,
        known: Sequence[PageObject],
        data: bytes,
        places: Sequence[slice],
        parse: Callable[[bytes], Page],
        words: int,
    ) -> None:
        super().__init__(known)
        self._data = data
        self._places = tuple((place.start, place.stop) for place in places)
        self._parse = parse
        self._words = words

    @property
    def word_count(self) -> int:
        return self._words

    def __eq__(self, other: object) -> bool:
        if isinstance(other, InlinePages) and self._data == other._data:
            return True
        return super().__eq__(other)

    __hash__ = None  # as of any sequence that is compared by what is in it

    def _read(self, index: int) -> Page:
        start, end = self._places[index]
        page = self._parse(self._data[start:end])
        return page if self._storage is None else page.bind(self._storage)
