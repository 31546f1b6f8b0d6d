"""One job, from its reference to its stored Document: fetch, decode, recognise, crop, store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from ocrqueue.document import Document, EngineInfo, InputInfo, Page, Timings
from ocrqueue.errors import (
    BrokerUnavailable,
    EngineFailed,
    EngineOutOfMemory,
    EngineTimeout,
    JobCancelled,
    OcrQueueError,
    StorageNotFound,
    error_from_info,
)
from ocrqueue.job import Job
from ocrqueue.references import redact_uri
from ocrqueue.registry import Outcome, Registry, Start
from ocrqueue.settings import Settings
from ocrqueue.storage import Storage
from ocrqueue_worker.caching import as_cached, cache_key
from ocrqueue_worker.crop_writing import crop_writer, with_crops
from ocrqueue_worker.engines.checking import check_results
from ocrqueue_worker.engines.engine import Engine, PageImage, Reading
from ocrqueue_worker.exhaustion import exhaustion, exhaustion_as_errors
from ocrqueue_worker.grey import without_empty_color
from ocrqueue_worker.images import SourceImage, open_image
from ocrqueue_worker.leftovers import remove_leftovers
from ocrqueue_worker.memory_limit import job_memory_limit
from ocrqueue_worker.sources import fetch
from ocrqueue_worker.time_limits import time_limits

_log = structlog.get_logger(__name__)

_SHARE_OF_SOFT_LIMIT: Final = 0.95
"""Of the soft time limit, what the engine may use: the rest is for storing what was read until then."""


@dataclass(frozen=True)
class Workplace:
    """What a worker child has at hand for every job."""

    settings: Settings
    registry: Registry
    storage: Storage
    engine: Callable[[str], Engine[Any]]
    """The loaded engine of a name. Raises EngineUnknown, EngineUnavailable."""


@dataclass
class Stopwatch:
    """Seconds spent in each step."""

    started: float = field(default_factory=time.monotonic)
    spent: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.spent[step] = self.spent.get(step, 0.0) + time.monotonic() - begin

    def timings(self, queue_wait_s: float) -> Timings:
        rounded = {step: round(seconds, 4) for step, seconds in self.spent.items()}
        total = round(time.monotonic() - self.started, 4)
        return Timings(queue_wait_s=queue_wait_s, total_s=total, **rounded)


def result_key(job_id: str) -> str:
    return f"results/{job_id}/result.json"


@dataclass(frozen=True)
class Attempt:
    """One attempt at one job."""

    job: Job
    start: Start
    workplace: Workplace
    watch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def storage(self) -> Storage:
        return self.workplace.storage

    def timings(self) -> Timings:
        return self.watch.timings(self.start.queue_wait_s)

    def check_cancelled(self, done: int, pages: int) -> None:
        """Note the progress in pages. Raises JobCancelled if the job is to stop or has ended, JobElsewhere."""
        try:
            verdict = self.workplace.registry.progress(self.job.id, self.start.number, done, pages)
        except BrokerUnavailable as error:
            # an outage is no reason to throw work away; whether the job was cancelled shows at its end
            _log.warning("cannot note the progress", error=error.code)
            return
        if verdict == "stop":
            raise JobCancelled
        if verdict == "elsewhere":
            raise JobElsewhere


class JobElsewhere(Exception):
    """A newer attempt has the job: this one was taken for lost."""


def read_job(job: Job, start: Start, workplace: Workplace) -> Outcome:
    """Do the job; what is returned is stored. Raises the OcrQueueError for which there is no Document.

    A Document with at least one page read is "partial" or "succeeded"; if no page could be read, the first page's
    error is raised. A retryable error of a page is raised too, so that the whole job is tried again.
    """
    attempt = Attempt(job, start, workplace)
    if start.number > 1 and (stored := _stored_result(attempt)):
        _log.info("result was stored by an earlier attempt")
        return Outcome.of(stored, attempt.storage.uri(result_key(job.id)), attempt.timings())
    with exhaustion_as_errors():
        # loaded here where that was not possible at the child's start
        engine = workplace.engine(job.engine)
        with job_memory_limit(workplace.settings, engine):
            return _read_image(attempt, engine)


def _read_image(attempt: Attempt, engine: Engine[Any]) -> Outcome:
    job, workplace = attempt.job, attempt.workplace
    options = engine.parse_options(job.options)
    engine.check_languages(job.languages)
    with attempt.watch.measure("fetch_s"):
        data = fetch(job.image, workplace.settings, workplace.storage)
    sha256 = hashlib.sha256(data).hexdigest()
    info = engine.info(job.languages)
    key = cache_key(sha256, info, job, options)
    caching = engine.cacheable and workplace.settings.cache_ttl_s > 0
    document = _earlier_document(attempt, key, sha256, len(data)) if caching and job.cache else None
    if document is None:
        budget_s = time_limits(workplace.settings, job).soft_s * _SHARE_OF_SOFT_LIMIT
        reading = Reading(job.languages, options, deadline=attempt.watch.started + budget_s)
        format_name, pages = _read_pages(attempt, data, engine, reading)
        source = InputInfo(uri=redact_uri(job.image), sha256=sha256, format=format_name, bytes=len(data))
        document = _document(attempt, source, info, pages)
    attempt.check_cancelled(len(document.pages), len(document.pages))
    with attempt.watch.measure("upload_s"):
        document = document.model_copy(update={"timings": attempt.timings()})
        written = document.model_dump_json().encode()
        standing = attempt.storage.put_once(result_key(job.id), written, "application/json")
    uri = attempt.storage.uri(result_key(job.id))
    adopted = standing != written
    if adopted:
        _log.info("the result of another attempt stands")
        document = Document.model_validate_json(standing)
    if adopted or attempt.start.number > 1:
        remove_leftovers(attempt.storage, job.id, document)
    if caching and document.status == "succeeded" and not document.cached and not adopted:
        with suppress(BrokerUnavailable):
            workplace.registry.remember_reading(key, uri)
    return Outcome.of(document, uri, attempt.timings())


def _stored_result(attempt: Attempt) -> Document | None:
    try:
        stored = attempt.storage.get(result_key(attempt.job.id))
    except StorageNotFound:
        return None
    return Document.model_validate_json(stored)


def _earlier_document(attempt: Attempt, key: str, sha256: str, size: int) -> Document | None:
    try:
        uri = attempt.workplace.registry.earlier_reading(key)
    except BrokerUnavailable:
        return None
    if uri is None or not attempt.storage.owns(uri):
        return None
    try:
        earlier = Document.model_validate_json(attempt.storage.read_uri(uri))
    except StorageNotFound:
        return None  # its result was deleted: read the image again
    source = InputInfo(uri=redact_uri(attempt.job.image), sha256=sha256, format=earlier.input.format, bytes=size)
    return as_cached(earlier, attempt.job, source, attempt.start.number)


def _read_pages(
    attempt: Attempt, data: bytes, engine: Engine[Any], reading: Reading[Any]
) -> tuple[str, tuple[Page, ...]]:
    """The image's format and its pages with their crops stored. Raises the first page's error if none was read."""
    watch = attempt.watch
    crops = crop_writer(attempt.job, attempt.start.number, attempt.storage, attempt.workplace.settings.upload_threads)
    pages: list[Page] = []
    with open_image(data, attempt.workplace.settings) as image:
        attempt.check_cancelled(0, image.page_count)
        for numbers in _chunks(image.page_count, engine.pages_per_call):
            with watch.measure("decode_s"):
                decoded, failed = _decode(image, numbers)
            with watch.measure("ocr_s"):
                read = _recognise(engine, decoded, reading)
            with watch.measure("crop_s"):
                for page_image, page in zip(decoded, read, strict=True):
                    crops.crop(page_image.image, page)
            pages += sorted([*read, *failed], key=lambda page: page.number)
            attempt.check_cancelled(len(pages), image.page_count)
            with watch.measure("upload_s"):
                crops.upload()
    if pages[0].error is not None and all(page.error is not None for page in pages):
        raise error_from_info(pages[0].error)
    with watch.measure("upload_s"):
        placed = crops.finish()
    return image.format, tuple(with_crops(page, placed) for page in pages)


def _document(attempt: Attempt, source: InputInfo, engine: EngineInfo, pages: tuple[Page, ...]) -> Document:
    errors = tuple(page.error for page in pages if page.error is not None)
    return Document(
        job_id=attempt.job.id,
        tag=attempt.job.tag,
        status="partial" if errors else "succeeded",
        input=source,
        engine=engine,
        languages=attempt.job.languages,
        options=attempt.job.options,
        attempts=attempt.start.number,
        finished_at=datetime.now(UTC),
        pages=pages,
        errors=errors,
    )


def _chunks(page_count: int, size: int) -> Iterator[range]:
    for first in range(1, page_count + 1, size):
        yield range(first, min(first + size, page_count + 1))


def _decode(image: SourceImage, numbers: range) -> tuple[list[PageImage], list[Page]]:
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


def _recognise(engine: Engine[Any], pages: list[PageImage], reading: Reading[Any]) -> list[Page]:
    """One Page for each, in order; those that failed carry their error. Raises retryable errors."""
    if not pages:
        return []
    results: list[Page | OcrQueueError]
    if reading.seconds_left() <= 0:
        results = [EngineTimeout()] * len(pages)
    else:
        try:
            results = check_results(engine.recognize(pages, reading), pages, engine.name)
        except SoftTimeLimitExceeded:
            raise
        except OcrQueueError as error:
            results = [error] * len(pages)
        except Exception as error:
            ran_out = exhaustion(error)
            if ran_out is None:
                _log.exception("engine broke off", engine=engine.name)
            results = [ran_out or EngineFailed(f"{engine.name} broke off with {type(error).__name__}.")] * len(pages)
    return [_as_page(image, result) for image, result in zip(pages, results, strict=True)]


def _as_page(image: PageImage, result: Page | OcrQueueError) -> Page:
    if isinstance(result, Page):
        return result
    if result.retryable:
        raise result
    width, height = image.image.size
    return Page(number=image.number, width=width, height=height, dpi=image.dpi, error=result.info)
