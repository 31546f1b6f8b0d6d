"""A part that is being read: gives its pages to be recognised, takes what was read, stores the Document.

Most jobs have one part, which is the whole image. Of one that is read in parts, the opening part finds that out, page
parts read a page each, and the closing part reads none: it gathers theirs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ocrqueue.core import Outcome
from ocrqueue.document import Document, EngineInfo, InputInfo, Page, Timings
from ocrqueue.errors import (
    ErrorInfo,
    error_from_info,
)
from ocrqueue.job import Job
from ocrqueue.job.references import redact_uri, reference_path, split_uri
from ocrqueue_worker.calibration import calibrated_page, calibration_of, stated_info
from ocrqueue_worker.engines.asking import accepted_options, parsed_options
from ocrqueue_worker.engines.engine import Engine, EngineOptions, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.cache_key import as_cached, cache_key, earlier_reading, remember_reading
from ocrqueue_worker.pipeline.cached_crops import with_own_objects
from ocrqueue_worker.pipeline.crop_storage import crop_writer, with_crops
from ocrqueue_worker.pipeline.engine_call import Result, as_page, recognise_reference
from ocrqueue_worker.pipeline.fetching import forget_after_parts
from ocrqueue_worker.pipeline.file_pixels import on_image
from ocrqueue_worker.pipeline.job_source import JobSource
from ocrqueue_worker.pipeline.page_parts import Split, gather, store_page
from ocrqueue_worker.pipeline.result_storage import store_result
from ocrqueue_worker.sources.stored_by_jobs import check_bucket_reference

_ONE_PAGE: Final = (".png", ".jpg", ".jpeg", ".bmp")


class JobReader:
    """The steps in order: open(); next_pages() and take() in turns while pages_left; finish(). close() at any time.

    Where `split` is set once it is open, that is all that there is to do. In a closing part gather() takes the place of
    all but finish().

    Each raises the OcrQueueError for which there is to be no Document; JobCancelled and JobElsewhere where the job is
    no longer wanted from this attempt.
    """

    options: EngineOptions
    is_referred: bool = False
    """Whether the image was not fetched, and is the engine's to read by its reference."""
    split: Split | None = None
    """The pages are to be read as parts of their own."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        workplace = attempt.workplace
        self._crops = crop_writer(
            attempt.job,
            attempt.name,
            workplace.storage,
            workplace.settings.upload_threads,
            attempt.hold.page,
        )
        self._pages: list[Page] = []
        self._to_decode: deque[int] = deque()
        self._count = 1
        self._from = JobSource(attempt)
        self._earlier: Document | None = None
        self._gathered: Document | None = None
        self._spent_before: Timings | None = None
        self._caching = False

    def open(self, engine: Engine[Any], may_refer: bool = False) -> None:
        """Fetch the image. What was read of the same image before stands for it: there are no pages to read then.

        With `may_refer`, an image that the engine fetches itself is left to it: see read_reference().
        """
        job = self.attempt.job
        self.options = accepted_options(engine, job)
        if may_refer and _is_referred(engine, job):
            check_bucket_reference(job.image, self.attempt.storage)
            self.is_referred = True
            self._source = InputInfo(uri=redact_uri(job.image), sha256=None, format="", bytes=None, name=job.name)
            self._engine = stated_info(engine, job.languages)
            self.attempt.check_cancelled(0, 1)
            return
        self._source = self._from.fetch()
        self._engine = stated_info(engine, job.languages)
        self._note_cache_key(engine, self._source, self._engine)
        page = self.attempt.hold.page
        self._earlier = self._earlier_document() if self._caching and job.cache and page is None else None
        if self._earlier is not None:
            return
        self._from.open()
        self._source = self._from.info
        self._caching = self._caching and not self._from.is_protected
        self.split = self._from.split(engine, self.options)
        if self.split is not None:
            return
        self._to_decode.extend(self._from.numbers)
        self._count = len(self._to_decode)
        self.attempt.check_cancelled(0, self._count)

    @property
    def pages_left(self) -> bool:
        """Whether there are pages to decode."""
        return bool(self._to_decode)

    def next_pages(self, most: int) -> list[PageImage]:
        """Decode so many pages, or those that are left. Those that cannot be decoded are noted as failed."""
        numbers = [self._to_decode.popleft() for _ in range(min(most, len(self._to_decode)))]
        decoded, failed = self._from.decode(numbers)
        self._pages += failed
        return decoded

    def take(self, images: Sequence[PageImage], results: Sequence[Result], seconds: float) -> None:
        """What was read on these pages, which took the engine so long; crops are cut and stored."""
        watch = self.attempt.watch
        watch.add("ocr_s", seconds)
        read = [as_page(image, result) for image, result in zip(images, results, strict=True)]
        with watch.measure("crop_s"):
            for image, page in zip(images, read, strict=True):
                self._crops.crop(image.image, on_image(page, image))
        self._pages += read
        self.attempt.check_cancelled(len(self._pages), self._count)
        with watch.measure("upload_s"):
            self._crops.upload()

    def gather(self, engine: Engine[Any]) -> None:
        """Take what the page parts have read."""
        self.options = parsed_options(engine, self.attempt.job)
        gathered = gather(self.attempt)
        self._gathered, self._spent_before = gathered.document, gathered.spent
        self._note_cache_key(engine, self._gathered.input, self._gathered.engine)
        if self._caching and self._gathered.input.format == "PDF":
            registry = self.attempt.workplace.registry
            self._caching = registry.password(self.attempt.job.id) is None

    def read_reference(self, engine: Engine[Any], reading: Reading[Any]) -> None:
        """Let the engine read the image, which was not fetched, as one page."""
        with self.attempt.watch.measure("ocr_s"):
            page = recognise_reference(engine, self.attempt.job.image, reading)
            self._pages = [calibrated_page(page, calibration_of(engine, reading.languages))]

    def page_errors(self) -> list[ErrorInfo]:
        """Of the pages so far."""
        return [page.error for page in self._pages if page.error is not None]

    def finish(self) -> Outcome:
        """Store the Document. If no page could be read, the first page's error is raised."""
        self.close()
        document = self._earlier or self._gathered or self._document()
        self.attempt.check_cancelled(len(document.pages), len(document.pages))
        if self.attempt.hold.page is not None:
            return store_page(self.attempt, document)
        stored = store_result(self.attempt, document, self._spent_before, data=self._from.data)
        if self._gathered is not None:
            forget_after_parts(self.attempt)
        whole = stored.document.status == "succeeded" and not stored.document.cached
        if self._caching and whole and not stored.adopted:
            remember_reading(self.attempt, self._cache_key, stored.uri)
        return stored.outcome

    def close(self) -> None:
        """Let go of the image."""
        self._from.close()

    def _note_cache_key(self, engine: Engine[Any], source: InputInfo, info: EngineInfo) -> None:
        job = self.attempt.job
        self._cache_key = cache_key(source.sha256 or "", info, job, self.options)
        self._caching = engine.cacheable and self.attempt.workplace.settings.cache_ttl_s > 0

    def _earlier_document(self) -> Document | None:
        earlier = earlier_reading(self.attempt, self._cache_key)
        if earlier is None:
            return None
        source = self._source.model_copy(update={"format": earlier.input.format})
        answer = as_cached(earlier, self.attempt.job, source, self.attempt.start.number)
        with self.attempt.watch.measure("upload_s"):
            return with_own_objects(answer, earlier.job_id, self.attempt)

    def _document(self) -> Document:
        pages = sorted(self._pages, key=lambda page: page.number)
        if pages[0].error is not None and all(page.error is not None for page in pages):
            raise error_from_info(pages[0].error)
        with self.attempt.watch.measure("upload_s"):
            placed = self._crops.finish()
        job = self.attempt.job
        errors = errors_of(pages, self._from.truncated)
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
            warnings=self._from.warnings,
        )


def errors_of(pages: Iterable[Page], truncated: Mapping[int, ErrorInfo]) -> tuple[ErrorInfo, ...]:
    """Errors of the pages that failed, and of those that were cut off."""
    found = ((page, page.error or truncated.get(page.number)) for page in pages)
    return tuple(error for _, error in found if error is not None)


def _is_referred(engine: Engine[Any], job: Job) -> bool:
    """Whether the engine can fetch the image, and nothing else needs its bytes.

    By the name's ending: of a file that may have several pages an engine might read the first and not say so.
    """
    parts = split_uri(job.image)
    one_page = reference_path(job.image).lower().endswith(_ONE_PAGE)
    shows_none = job.crops == "none" and not job.outputs_need_image and job.pages is None
    return shows_none and parts.scheme in engine.reference_schemes and one_page
