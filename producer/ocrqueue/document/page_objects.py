"""The pages of a large Document: each an object of its own in storage, read when it is looked at and not kept.

An object is the page as a Document of one page, as a part of the document has left it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from ocrqueue.document.model import Document
from ocrqueue.document.page import Page
from ocrqueue.document.stored_pages import LazyPages, PageObject, PagesSummary
from ocrqueue.document.values import ObjectReader
from ocrqueue.errors import ResultUnreadable

MOST_INLINE: Final = 50
"""Pages; of a Document of more, each is an object of its own."""
_THREADS: Final = 4
"""That read pages before they are asked for, where one is looked at after the other."""


class PageObjects(LazyPages):
    """Pages in the order of `objects`; `parse` makes a Document of an object's bytes."""

    def __init__(
        self,
        objects: Sequence[PageObject],
        parse: Callable[[bytes], Document],
        storage: ObjectReader | None = None,
    ) -> None:
        super().__init__(objects, storage)
        self._parse = parse
        self._binds_words = False

    def bind(self, storage: ObjectReader) -> None:
        super().bind(storage)
        self._binds_words = True

    def __iter__(self) -> Iterator[Page]:
        return ahead(self._read, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PageObjects):
            return self._known == other._known
        return super().__eq__(other)

    __hash__ = None  # as of any sequence that is compared by what is in it

    def __repr__(self) -> str:
        return f"<{len(self)} pages in storage>"

    def _read(self, index: int) -> Page:
        known = self._known[index]
        if known.uri is None:
            return Page(number=known.number, width=0, height=0, error=known.error)
        if self._storage is None:
            raise ResultUnreadable(
                "This Document is not bound to storage.",
                remedy="Get it from job.result(), or bind it: document.bind(queue.storage).",
            )
        document = self._parse(self._storage.read_uri(known.uri))
        if self._binds_words:
            document.bind(self._storage)
        return document.pages[0]


Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(make: Callable[[Given], Made], of: Iterable[Given], threads: int = _THREADS) -> Iterator[Made]:
    """What `make` makes of each, in order: twice as many as there are threads are made before they are asked for."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for given in of:
                waiting.append(pool.submit(make, given))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class PagesTally:
    """What is told of pages together, as they go by."""

    def __init__(self) -> None:
        self._words = self._known = self._compared = 0
        self._confidence = self._agreement = 0.0

    def add(self, page: Page) -> None:
        for word in page.words():
            self._words += 1
            if word.confidence is not None:
                self._known, self._confidence = self._known + 1, self._confidence + word.confidence
            if word.agreement is not None:
                self._compared, self._agreement = self._compared + 1, self._agreement + word.agreement
        self._known, self._confidence = self._known + len(page.unread), self._confidence + sum(page.unread)

    def summary(self) -> PagesSummary:
        return PagesSummary(
            words=self._words,
            mean_confidence=self._confidence / self._known if self._known else None,
            mean_agreement=round(self._agreement / self._compared, 4) if self._compared else None,
        )
