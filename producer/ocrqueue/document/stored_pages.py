"""The pages of a Document: at hand, or of a large one where each is kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

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


class StoredPages(Sequence[Page]):
    """Pages that are read from storage when they are looked at: see ocrqueue.document.page_objects."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[int, ...]: ...

    @abstractmethod
    def with_number(self, number: int) -> Page | None: ...

    @abstractmethod
    def bind(self, storage: ObjectReader) -> None: ...


def _tuple_or_stored(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, StoredPages) else tuple(handler(value))


Pages = Annotated[
    Sequence[Page],
    WrapValidator(_tuple_or_stored),
    WrapSerializer(lambda pages, handler: handler(tuple(pages))),
]
"""A tuple; of a large Document a StoredPages."""
