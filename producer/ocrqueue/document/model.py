"""Document: what was read. Document > Page > Block > Paragraph > Line > Word, the same for every engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ocrqueue.document.page import Page
from ocrqueue.document.reading_info import DocumentWarning, EngineInfo, InputInfo, Timings
from ocrqueue.document.regions import Word
from ocrqueue.document.stored_files import Output
from ocrqueue.document.stored_pages import LazyPages, PageObject, Pages, PagesSummary
from ocrqueue.document.values import ObjectReader, StorageBound, is_empty, is_unset
from ocrqueue.document.writable import Writable
from ocrqueue.errors import ErrorInfo, OcrQueueError, OutputMissing, PageNotFound
from ocrqueue.job.route import Step


class Document(StorageBound, Writable):
    """The whole result, as stored in result.json. Of a large one pages are read as they are looked at, and not kept."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", title="ocrqueue document")

    schema_version: Literal[1] = 1
    job_id: str
    tag: str | None = None
    status: Literal["succeeded", "partial", "unknown"]
    input: InputInfo
    engine: EngineInfo = Field(description="The last one that had its turn; each page says which engine read it.")
    trail: tuple[Step, ...] = Field(
        default=(), description="The engines that had their turn, in order, if the job asked for several."
    )
    languages: tuple[str, ...]
    options: dict[str, JsonValue] = Field(default={})
    attempts: int = 1
    cached: bool = Field(
        default=False, description="The image was read by an earlier job; crops are copies of its own."
    )
    finished_at: datetime
    timings: Timings = Timings.model_construct()
    pages: Pages
    page_objects: tuple[PageObject, ...] = Field(
        default=(),
        exclude_if=is_empty,
        description="Of a large Document, in result.json in the place of its pages: where each is kept.",
    )
    summary: PagesSummary | None = Field(
        default=None, exclude_if=is_unset, description="Of a large Document: what is told of its pages together."
    )
    errors: tuple[ErrorInfo, ...] = Field(
        default=(),
        description="Errors of the pages that failed, in order, and of pages of which only a part was there.",
    )
    warnings: tuple[DocumentWarning, ...] = Field(
        default=(), exclude_if=is_empty, description="What was wrong with the file, though it was read."
    )
    outputs: tuple[Output, ...] = Field(
        default=(), exclude_if=is_empty, description="The files that the job asked for with `outputs`."
    )

    def source(self) -> bytes | None:
        """The file that was read, if it is in the storage that the Document is bound to and unchanged; else None."""
        try:
            data = self._storage.read_uri(self.input.uri) if self._storage is not None else None
        except OcrQueueError:
            return None
        return data if data is not None and hashlib.sha256(data).hexdigest() == self.input.sha256 else None

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        unbound = self.model_copy()
        unbound.__dict__.pop("_storage", None)
        return BaseModel.__deepcopy__(unbound, memo)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        if not self.__dict__:
            return  # it could not be made, and is shown in a traceback
        yield "job_id", self.job_id
        yield "status", self.status
        yield "engine", self.engine.name
        yield "pages", len(self.pages)
        yield "words", self.word_count

    @model_validator(mode="after")
    def _pages_are_at_hand(self) -> Self:
        if self.page_objects and not self.pages:
            raise ValueError("its pages are objects of their own: get it from job.result()")
        return self

    def with_pages(self, pages: Sequence[Page]) -> Self:
        """The same of these pages, which are at hand."""
        return self.model_copy(update={"pages": tuple(pages), "page_objects": (), "summary": None})

    def page(self, number: int) -> Page:
        """The page of that number. Raises PageNotFound."""
        if isinstance(self.pages, LazyPages):
            page = self.pages.with_number(number)
        else:
            page = next((page for page in self.pages if page.number == number), None)
        if page is None:
            raise PageNotFound(f"The Document has no page {number}.")
        return page

    @property
    def page_numbers(self) -> tuple[int, ...]:
        """In order."""
        if isinstance(self.pages, LazyPages):
            return self.pages.numbers
        return tuple(page.number for page in self.pages)

    @property
    def failed_pages(self) -> dict[int, ErrorInfo]:
        """By number, the errors of the pages that could not be read."""
        if isinstance(self.pages, LazyPages):
            return self.pages.errors
        return {page.number: page.error for page in self.pages if page.error is not None}

    @property
    def word_count(self) -> int:
        if self.summary is not None:
            return self.summary.words
        if isinstance(self.pages, LazyPages):
            return self.pages.word_count
        return sum(1 for _ in self.words())

    @property
    def text(self) -> str:
        """The text of all pages, separated by a newline and a form feed."""
        return "\n\f".join(page.text for page in self.pages)

    def words(self) -> Iterator[Word]:
        for page in self.pages:
            yield from page.words()

    @property
    def mean_confidence(self) -> float | None:
        """Mean over the words that have one, and those that no engine could read; null where there are none."""
        if self.summary is not None:
            return self.summary.mean_confidence
        known: list[float] = []
        unread: list[float] = []
        for page in self.pages:
            known += [word.confidence for word in page.words() if word.confidence is not None]
            unread += page.unread
        known += unread
        return sum(known) / len(known) if known else None

    @property
    def mean_agreement(self) -> float | None:
        """With compare: mean over the words; null without."""
        if self.summary is not None:
            return self.summary.mean_agreement
        known = [word.agreement for word in self.words() if word.agreement is not None]
        return round(sum(known) / len(known), 4) if known else None

    def output(self, format_name: str, page: int | None = None) -> Output:
        """The stored file of that format; `page` where there is one for each. Raises OutputMissing."""
        for output in self.outputs:
            if output.format == format_name and page in (None, output.page):
                return output
        stored = ", ".join(dict.fromkeys(output.format for output in self.outputs)) or "none"
        raise OutputMissing(f"No file of the format {format_name[:40]!r} is stored; there are: {stored}.")

    def bind(self, storage: ObjectReader) -> Self:
        """Let `word.crop.open()`, `output.open()`, what a notebook shows, and the pages of a large Document be read
        from `storage`."""
        super().bind(storage)
        for output in self.outputs:
            output.bind(storage)
        if isinstance(self.pages, LazyPages):
            self.pages.bind(storage)
            return self
        for page in self.pages:
            page.bind(storage)
        return self
