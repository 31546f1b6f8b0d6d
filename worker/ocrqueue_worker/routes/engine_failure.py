"""What becomes of a job whose engine fails: the next engine has its turn, or what stands is the result."""

from __future__ import annotations

from typing import Final

import structlog

from ocrqueue.core import Hold, Outcome, Start
from ocrqueue.document import Document
from ocrqueue.errors import OcrQueueError, SourceChanged
from ocrqueue.job import Job
from ocrqueue.job.route import Route, Step
from ocrqueue_worker.pipeline.attempt import Attempt, Workplace
from ocrqueue_worker.pipeline.crop_storage import crop_writer, with_crops
from ocrqueue_worker.pipeline.file_pixels import on_image
from ocrqueue_worker.pipeline.job_source import JobSource
from ocrqueue_worker.routes.final_document import end_comparison, store_end
from ocrqueue_worker.routes.next_engine import Onward, onward, open_route
from ocrqueue_worker.routes.steps import compared_documents, standing_document

_log = structlog.get_logger(__name__)

_ENGINES_OWN: Final = ("engine", "language", "option", "internal")
_NOBODYS: Final = ("storage", "result", "broker", "worker", "settings")
"""Groups of codes after which the job fails, to be replayed."""


def instead_of_failing(
    job: Job,
    hold: Hold,
    start: Start,
    workplace: Workplace,
    error: OcrQueueError,
    with_missing_crops: bool = True,
) -> Outcome | Onward | None:
    """What becomes of `job`, or of the page in hand, whose engine has failed for good with `error`; None if it is to
    fail with it. So does a part that gathers pages: no engine is at work there.

    What was wrong with the engine or what it was asked lets the next one try; what was wrong with the image does not.
    Where no engine is left, what the engines before have read is the result. Without `with_missing_crops`, words whose
    crops are not cut yet stay without: the image is not touched. Raises OcrQueueError where that cannot be stored.
    """
    route, group = job.route, error.code.partition(".")[0]
    if route is None or group in _NOBODYS or error.code == "job.cancelled":
        return None
    step = Step(engine=job.engine, error=error.code)
    attempt = Attempt(job, hold, start, workplace)
    if attempt.is_closing or (hold.page is not None and error.code == SourceChanged.code):
        return None
    engines_own = group in _ENGINES_OWN or error.code == "job.poison"
    if engines_own and (following := open_route(route, workplace.registry)) is not None:
        _log.info("the next engine has its turn", failed=job.engine, error=error.code, engine=following.following)
        return onward(job, following, step)
    return _standing(attempt, route, step, with_missing_crops)


def _standing(attempt: Attempt, route: Route, step: Step, with_missing_crops: bool) -> Outcome | None:
    trail = (*route.trail, step)
    if route.mode == "compare":
        documents = compared_documents(attempt)
        if not documents:
            return None
        return end_comparison(attempt, documents, trail, may_read_image=with_missing_crops)
    document = standing_document(attempt)
    if document is None:
        return None
    if with_missing_crops:
        try:
            document = _with_missing_crops(attempt, document)
        except OcrQueueError as error:
            _log.warning("words stay without crops", error=error.code)
    _log.info("what stands is the result", failed=step.engine, error=step.error)
    attempts = max(document.attempts, attempt.start.number)
    document = document.model_copy(update={"trail": trail, "attempts": attempts})
    return store_end(attempt, document, may_read_image=with_missing_crops)


def _with_missing_crops(attempt: Attempt, document: Document) -> Document:
    """The pages that were sent on have none yet."""
    job, workplace = attempt.job, attempt.workplace
    missing = {page.number for page in document.pages if any(word.crop is None for word in page.words())}
    if job.crops == "none" or not missing:
        return document
    threads = workplace.settings.upload_threads
    crops = crop_writer(job, attempt.name, workplace.storage, threads, attempt.hold.page)
    with JobSource(attempt) as source:
        source.fetch()
        source.open()
        for page in document.pages:
            if page.number in missing:
                for image in source.decode([page.number])[0]:
                    crops.crop(image.image, on_image(page, image))
                crops.upload()
    placed = crops.finish()
    pages = tuple(with_crops(page, placed) if page.number in missing else page for page in document.pages)
    return document.model_copy(update={"pages": pages})
