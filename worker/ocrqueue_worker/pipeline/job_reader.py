"""A job that is being read: gives its pages to be recognised, takes what was read, stores the Document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from ocrqueue.core import Outcome
from ocrqueue.document import Document, InputInfo, Page
from ocrqueue.errors import (
    EngineOutOfMemory,
    ErrorInfo,
    OcrQueueError,
    error_from_info,
)
from ocrqueue.job import Job
from ocrqueue.job.references import redact_uri, split_uri
from ocrqueue_worker.engines.engine import Engine, EngineOptions, Reading
from ocrqueue_worker.images.decoding import SourceImage, open_image
from ocrqueue_worker.images.greyscale import without_empty_color
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.cache_key import as_cached, cache_key, earlier_reading, remember_reading
from ocrqueue_worker.pipeline.crop_storage import crop_writer, with_crops
from ocrqueue_worker.pipeline.engine_call import Result, as_page, recognise_reference
from ocrqueue_worker.pipeline.result_storage import store_result
from ocrqueue_worker.sources import fetch
from ocrqueue_worker.telemetry import metrics

_ONE_PAGE: Final = (".png", ".jpg", ".jpeg", ".bmp")


class JobReader:
    """The steps in order: open(); next_pages() and take() in turns while pages_left; finish(). close() at any time.

    Each raises the OcrQueueError for which there is to be no Document; JobCancelled and JobElsewhere where the job is
    no longer wanted from this attempt.
    """

    options: EngineOptions
    is_referred: bool = False
    """Whether the image was not fetched, and is the engine's to read by its reference."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        workplace = attempt.workplace
        self._crops = crop_writer(
            attempt.job, attempt.start.number, workplace.storage, workplace.settings.upload_threads
        )
        self._pages: list[Page] = []
        self._decoded = 0
        self._image: SourceImage | None = None
        self._earlier: Document | None = None
        self._caching = False
        self._opened = ExitStack()

    def open(self, engine: Engine[Any], may_refer: bool = False) -> None:
        """Fetch the image. What was read of the same image before stands for it: there are no pages to read then.

        With `may_refer`, an image that the engine fetches itself is left to it: see read_reference().
        """
        job, workplace = self.attempt.job, self.attempt.workplace
        self.options = engine.parse_options(job.engine_options)
        engine.check_languages(job.languages)
        if may_refer and _is_referred(engine, job):
            self.is_referred = True
            self._source = InputInfo(uri=redact_uri(job.image), sha256=None, format="", bytes=None)
            self._engine = engine.info(job.languages)
            self.attempt.check_cancelled(0, 1)
            return
        with self.attempt.watch.measure("fetch_s"):
            data = fetch(job.image, workplace.settings, workplace.storage)
        metrics.image_fetched(job.engine, len(data))
        self._source = source_of(job, data)
        self._engine = engine.info(job.languages)
        self._cache_key = cache_key(self._source.sha256 or "", self._engine, job, self.options)
        self._caching = engine.cacheable and workplace.settings.cache_ttl_s > 0
        self._earlier = self._earlier_document() if self._caching and job.cache else None
        if self._earlier is None:
            self._image = self._opened.enter_context(open_image(data, workplace.settings))
            self._source = self._source.model_copy(update={"format": self._image.format})
            self.attempt.check_cancelled(0, self._image.page_count)

    @property
    def pages_left(self) -> bool:
        """Whether there are pages to decode."""
        return self._image is not None and self._decoded < self._image.page_count

    def next_pages(self, most: int) -> list[PageImage]:
        """Decode so many pages, or those that are left. Those that cannot be decoded are noted as failed."""
        if self._image is None:
            return []
        first, self._decoded = self._decoded, min(self._decoded + most, self._image.page_count)
        with self.attempt.watch.measure("decode_s"):
            decoded, failed = decode_pages(self._image, range(first + 1, self._decoded + 1))
        self._pages += failed
        return decoded

    def take(self, images: Sequence[PageImage], results: Sequence[Result], seconds: float) -> None:
        """What was read on these pages, which took the engine so long; crops are cut and stored."""
        watch = self.attempt.watch
        watch.add("ocr_s", seconds)
        read = [as_page(image, result) for image, result in zip(images, results, strict=True)]
        with watch.measure("crop_s"):
            for image, page in zip(images, read, strict=True):
                self._crops.crop(image.image, page)
        self._pages += read
        self.attempt.check_cancelled(len(self._pages), self._image.page_count if self._image else 0)
        with watch.measure("upload_s"):
            self._crops.upload()

    def read_reference(self, engine: Engine[Any], reading: Reading[Any]) -> None:
        """Let the engine read the image, which was not fetched, as one page."""
        with self.attempt.watch.measure("ocr_s"):
            self._pages = [recognise_reference(engine, self.attempt.job.image, reading)]

    def page_errors(self) -> list[ErrorInfo]:
        """Of the pages so far."""
        return [page.error for page in self._pages if page.error is not None]

    def finish(self) -> Outcome:
        """Store the Document. If no page could be read, the first page's error is raised."""
        self.close()
        document = self._earlier or self._document()
        self.attempt.check_cancelled(len(document.pages), len(document.pages))
        stored = store_result(self.attempt, document)
        whole = stored.document.status == "succeeded" and not stored.document.cached
        if self._caching and whole and not stored.adopted:
            remember_reading(self.attempt, self._cache_key, stored.uri)
        return stored.outcome

    def close(self) -> None:
        """Let go of the image."""
        self._opened.close()

    def _earlier_document(self) -> Document | None:
        earlier = earlier_reading(self.attempt, self._cache_key)
        if earlier is None:
            return None
        source = self._source.model_copy(update={"format": earlier.input.format})
        return as_cached(earlier, self.attempt.job, source, self.attempt.start.number)

    def _document(self) -> Document:
        pages = sorted(self._pages, key=lambda page: page.number)
        if pages[0].error is not None and all(page.error is not None for page in pages):
            raise error_from_info(pages[0].error)
        with self.attempt.watch.measure("upload_s"):
            placed = self._crops.finish()
        job = self.attempt.job
        errors = tuple(page.error for page in pages if page.error is not None)
        return Document(
            job_id=job.id,
            tag=job.tag,
            status="partial" if errors else "succeeded",
            input=self._source,
            engine=self._engine,
            languages=job.languages,
            options=job.options,
            attempts=self.attempt.start.number,
            finished_at=datetime.now(UTC),
            pages=tuple(with_crops(page, placed) for page in pages),
            errors=errors,
        )


def source_of(job: Job, data: bytes) -> InputInfo:
    """What is known of the image before it is opened."""
    return InputInfo(uri=redact_uri(job.image), sha256=hashlib.sha256(data).hexdigest(), format="", bytes=len(data))


def _is_referred(engine: Engine[Any], job: Job) -> bool:
    """Whether the engine can fetch the image, and nothing else needs its bytes.

    By the name's ending: of a file that may have several pages an engine might read the first and not say so.
    """
    parts = split_uri(job.image)
    one_page = parts.path.lower().endswith(_ONE_PAGE)
    return job.crops == "none" and parts.scheme in engine.reference_schemes and one_page


def decode_pages(image: SourceImage, numbers: Iterable[int]) -> tuple[list[PageImage], list[Page]]:
    """The pages that could be decoded, and the rest as failed Pages."""
    decoded, failed = [], []
    for number in numbers:
        try:
            page = image.page(number)
            decoded.append(replace(page, image=without_empty_color(page.image)))
        except OcrQueueError as error:
            failed.append(Page(number=number, width=0, height=0, error=error.info))
        except MemoryError:
            failed.append(Page(number=number, width=0, height=0, error=EngineOutOfMemory().info))
    return decoded, failed
