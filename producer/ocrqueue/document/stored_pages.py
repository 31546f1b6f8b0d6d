"""The pages of a Document: at hand, or of a large one made when they are looked at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Annotated, Any, Self, overload

from pydantic import Field, ValidatorFunctionWrapHandler, WrapSerializer, WrapValidator

from ocrqueue.document.page import Page
from ocrqueue.document.regions import Confidence
from ocrqueue.document.values import ObjectReader, Value, is_unset
from ocrqueue.errors import ErrorInfo
from ocrqueue.job.route import Share


class PageObject(Value):
    """Where one page of a large Document is kept."""

    number: Annotated[int, Field(ge=1)]
    uri: str | None = Field(default=None, description="Of a Document of this page alone; null where there is none.")
    error: ErrorInfo | None = Field(
        default=None, exclude_if=is_unset, description="Why the page could not be read, where it failed."
    )


class PagesSummary(Value):
    """What a large Document says of all its pages, so that nobody has to read them for it."""

    words: int
    mean_confidence: Confidence | None = None
    mean_agreement: Share | None = None


class LazyPages(Sequence[Page]):
    """Pages that are made when they are looked at, and not kept: see ocrqueue.document.page_objects and inline_pages.

    `known`: what is known of each without looking at it.
    """

    def __init__(self, known: Sequence[PageObject], storage: ObjectReader | None = None) -> None:
        self._known = known
        self._storage = storage

    @abstractmethod
    def _read(self, index: int) -> Page: ...

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(known.number for known in self._known)

    @property
    def errors(self) -> dict[int, ErrorInfo]:
        """By number, of the pages that could not be read."""
        return {known.number: known.error for known in self._known if known.error is not None}

    @property
    def word_count(self) -> int:
        return sum(1 for page in self for _ in page.words())

    def with_number(self, number: int) -> Page | None:
        return next((self._read(index) for index, known in enumerate(self.numbers) if known == number), None)

    def bind(self, storage: ObjectReader) -> None:
        self._storage = storage

    def __len__(self) -> int:
        return len(self._known)

    @overload
    def __getitem__(self, index: int) -> Page: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Page]: ...

    def __getitem__(self, index: int | slice) -> Page | Sequence[Page]:
        places = range(len(self))[index]
        return self._read(places) if isinstance(places, int) else tuple(map(self._read, places))

    def __iter__(self) -> Iterator[Page]:
        return map(self._read, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple | LazyPages) and len(other) == len(self) and all(map(Page.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # as of any sequence that is compared by what is in it

    def __repr__(self) -> str:
        return f"<{len(self)} pages>"

    def __getstate__(self) -> dict[str, Any]:
        # storage has the settings, and these have passwords
        return {**self.__dict__, "_storage": None}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return copy(self)


def _tuple_or_lazy(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, LazyPages) else tuple(handler(value))


Pages = Annotated[
    Sequence[Page],
    WrapValidator(_tuple_or_lazy),
    WrapSerializer(lambda pages, handler: handler(tuple(pages))),
]
"""A tuple; of a large Document a LazyPages."""
