"""One part, from its reference to what is stored of it: fetch, decode, recognise, crop, store."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog

from ocrqueue.core import Hold, Outcome, Start
from ocrqueue.document import stored_document
from ocrqueue.errors import SourceNotFound, StorageNotFound, StorageUnavailable
from ocrqueue.job import Job
from ocrqueue.leftovers import remove_leftovers
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.limits.memory_limit import job_memory_limit
from ocrqueue_worker.limits.resource_errors import exhaustion_as_errors
from ocrqueue_worker.limits.time_limits import time_limits
from ocrqueue_worker.pipeline.attempt import Attempt, Workplace
from ocrqueue_worker.pipeline.job_reader import JobReader
from ocrqueue_worker.pipeline.page_parts import Split, stored_page
from ocrqueue_worker.pipeline.page_reading import read_pages
from ocrqueue_worker.pipeline.result_storage import result_key
from ocrqueue_worker.routes.fallback import Turn
from ocrqueue_worker.routes.gathering import end_of_pages
from ocrqueue_worker.routes.next_engine import Onward
from ocrqueue_worker.telemetry import metrics

_log = structlog.get_logger(__name__)

Read = TypeVar("Read")


def read_job(job: Job, hold: Hold, start: Start, workplace: Workplace) -> Outcome | Onward | Split:
    """Do the part; what is returned is stored, or the job is to go on to the next engine of its route, or in parts.

    Raises the OcrQueueError for which there is no Document.

    A Document with at least one page read is "partial" or "succeeded"; if no page could be read, the first page's
    error is raised. A retryable error of a page is raised too, so that the whole job is tried again.
    """
    attempt = Attempt(job, hold, start, workplace)
    try:
        return unless_it_stands(attempt, partial(_read, attempt))
    finally:
        metrics.attempt_made(job.engine, attempt.watch.spent)


def unless_it_stands(attempt: Attempt, read: Callable[[], Read]) -> Outcome | Read:
    """What an earlier attempt has stored, or else what `read` comes to. Raises what `read` raises, JobMalformed, and
    StorageUnavailable while the files of an earlier job of that name are being removed."""
    attempt.check_readable()
    start = attempt.start
    if start.is_being_removed:
        raise StorageUnavailable(f"The files of an earlier job {attempt.job.id} are just being removed.")
    if start.may_be_stored and (stored := _stored(attempt)):
        _log.info("a result stands in storage")
        return stored
    try:
        return read()
    except SourceNotFound:
        # who submits the same once more, as it heard no answer, may have been told of the end before
        if not start.may_be_stored and (stored := _stored(attempt)):
            _log.info("a result stands in storage")
            return stored
        raise


def _read(attempt: Attempt) -> Outcome | Onward | Split:
    job, workplace = attempt.job, attempt.workplace
    if job.route is not None and attempt.is_closing:
        # an engine that this worker does not have may have read the last page
        with exhaustion_as_errors(), job_memory_limit(workplace.settings.job_memory_limit_mib.of(job.engine)):
            return end_of_pages(attempt)
    with exhaustion_as_errors():
        # loaded here where that was not possible at the child's start
        engine = workplace.engine(job.engine)
        with job_memory_limit(engine.memory_limit_mib()):
            if job.route is not None:
                return Turn(attempt, engine, job.route).run()
            if attempt.is_closing:
                return _gather(attempt, engine)
            return _read_image(attempt, engine)


def _stored(attempt: Attempt) -> Outcome | None:
    """What an earlier attempt at the same part has stored."""
    if attempt.hold.page is not None:
        return stored_page(attempt)
    key = result_key(attempt.job.id)
    try:
        document = stored_document(attempt.storage.get(key), attempt.storage)
    except StorageNotFound:
        return None
    if attempt.is_closing:
        # it may have been lost before it had removed the pages
        remove_leftovers(attempt.storage, attempt.job.id, document)
    return Outcome.of(document, attempt.storage.uri(key), attempt.timings())


def _gather(attempt: Attempt, engine: Engine[Any]) -> Outcome:
    reader = JobReader(attempt)
    reader.gather(engine)
    return reader.finish()


def _read_image(attempt: Attempt, engine: Engine[Any]) -> Outcome | Split:
    reader = JobReader(attempt)
    try:
        reader.open(engine, may_refer=True)
        if reader.split is not None:
            return reader.split
        limits = time_limits(attempt.workplace.settings, attempt.job)
        reading = Reading(attempt.job.languages, reader.options, deadline=attempt.watch.started + limits.engine_s)
        if reader.is_referred:
            reader.read_reference(engine, reading)
        while reader.pages_left:
            images = reader.next_pages(engine.pages_together(reader.options))
            begun = time.monotonic()
            results = read_pages(engine, images, reading, attempt.job.prepare)
            reader.take(images, results, time.monotonic() - begun)
        return reader.finish()
    finally:
        reader.close()
