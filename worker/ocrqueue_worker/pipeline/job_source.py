"""The source of one attempt: fetched, open, and which of its pages the attempt is to read.

Jobs of one engine and those with a route read from it alike, whole documents and parts of them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ocrqueue.document import DocumentWarning, InputInfo, Page
from ocrqueue.errors import EngineOutOfMemory, ErrorInfo, OcrQueueError, PageNotFound
from ocrqueue.job import Job
from ocrqueue_worker.engines.asking import asking
from ocrqueue_worker.engines.engine import Engine, EngineOptions
from ocrqueue_worker.images.greyscale import without_empty_color
from ocrqueue_worker.images.page import PageImage, PageSource
from ocrqueue_worker.limits.heap import note_use
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.fetching import Fetched, fetched, keep_for_parts
from ocrqueue_worker.pipeline.opening import open_source
from ocrqueue_worker.pipeline.page_parts import Split, check_pin


class JobSource:
    """fetch(), then open(), then decode() as often as there are pages; close() at any time."""

    info: InputInfo
    data: bytes | None = None
    """The file, where outputs of the job show it."""
    numbers: tuple[int, ...] = ()
    """Of the pages that this part is to read."""
    image: PageSource | None = None

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._stack = ExitStack()
        self._found: Fetched | None = None

    def fetch(self) -> InputInfo:
        """Raises what sources do, and SourceChanged for a part whose document is another one by now."""
        with self._attempt.watch.measure("fetch_s"):
            self._found = self._stack.enter_context(fetched(self._attempt))
        self.info = self._found.source
        if self._attempt.job.outputs_need_image and self._attempt.hold.page is None:
            self.data = self._found.data
        check_pin(self._attempt, self.info)
        return self.info

    def open(self) -> None:
        """Raises what open_source() does, and PageNotFound."""
        assert self._found is not None  # noqa: S101 (fetch() comes first)
        job, page = self._attempt.job, self._attempt.hold.page
        self.image = self._stack.enter_context(open_source(self._found, self._attempt))
        self.info = self.info.model_copy(update={"format": self.image.format})
        self.numbers = selected_pages(job, self.image) if page is None else (job.page_selection.nth(page),)

    def split(self, engine: Engine[Any], options: EngineOptions) -> Split | None:
        """How the pages are to be read as parts of their own, for which what was fetched is kept; None if not."""
        job, pages = self._attempt.job, len(self.numbers)
        if self._found is None or self._attempt.hold.page is not None or pages < 2 or job.existing_text == "use":
            return None
        with asking(engine.name, "splits()"):
            if not engine.splits(options, pages):
                return None
        keep_for_parts(self._attempt, self._found)
        return Split(pages, self.info.sha256 or "")

    def decode(self, numbers: Iterable[int]) -> tuple[list[PageImage], list[Page]]:
        """The pages that could be decoded, and the rest as failed Pages."""
        if self.image is None:
            return [], []
        decoded, failed = [], []
        with self._attempt.watch.measure("decode_s"):
            for number in numbers:
                try:
                    page = self.image.page(number)
                    decoded.append(replace(page, image=without_empty_color(page.image)))
                except OcrQueueError as error:
                    failed.append(Page(number=number, width=0, height=0, error=error.info))
                except MemoryError:
                    failed.append(Page(number=number, width=0, height=0, error=EngineOutOfMemory().info))
        note_use(sum(page.image.width * page.image.height * len(page.image.getbands()) for page in decoded))
        return decoded, failed

    @property
    def is_protected(self) -> bool:
        return self.image is not None and self.image.is_protected

    @property
    def warnings(self) -> tuple[DocumentWarning, ...]:
        return self.image.warnings if self.image is not None else ()

    @property
    def truncated(self) -> Mapping[int, ErrorInfo]:
        return self.image.truncated if self.image is not None else {}

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def selected_pages(job: Job, image: PageSource) -> tuple[int, ...]:
    """The numbers of the pages that are to be read. Raises PageNotFound where there is none of them."""
    numbers = job.page_selection.among(image.page_count)
    if not numbers:
        raise PageNotFound(f"The document has {image.page_count} pages, but none of the requested ones.")
    return tuple(numbers)
