"""What becomes of a job whose engine fails: the next engine has its turn, or what stands is the result."""

from __future__ import annotations

from typing import Final

import structlog

from ocrqueue.core import Hold, Outcome, Start
from ocrqueue.document import Document
from ocrqueue.errors import OcrQueueError
from ocrqueue.job import Job
from ocrqueue.job.route import Route, Step
from ocrqueue_worker.images.decoding import open_image
from ocrqueue_worker.pipeline.attempt import Attempt, Workplace
from ocrqueue_worker.pipeline.crop_storage import crop_writer, with_crops
from ocrqueue_worker.pipeline.result_storage import store_result
from ocrqueue_worker.routes.final_document import end_comparison
from ocrqueue_worker.routes.next_engine import Onward, onward, open_route
from ocrqueue_worker.routes.steps import compared_documents, standing_document
from ocrqueue_worker.sources import fetch

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
    """What becomes of `job`, whose engine has failed for good with `error`; None if the job is to fail with it.

    What was wrong with the engine or what it was asked lets the next one try; what was wrong with the image does not.
    Where no engine is left, what the engines before have read is the result. Without `with_missing_crops`, words whose
    crops are not cut yet stay without: the image is not touched. Raises OcrQueueError where that cannot be stored.
    """
    route, group = job.route, error.code.partition(".")[0]
    if route is None or group in _NOBODYS or error.code == "job.cancelled":
        return None
    step = Step(engine=job.engine, error=error.code)
    attempt = Attempt(job, hold, start, workplace)
    engines_own = group in _ENGINES_OWN or error.code == "job.poison"
    if engines_own and (following := open_route(route, workplace.registry)) is not None:
        _log.info("the next engine has its turn", failed=job.engine, error=error.code, engine=following.following)
        return onward(job, following, step)
    return _standing(attempt, route, step, with_missing_crops)


def _standing(attempt: Attempt, route: Route, step: Step, with_missing_crops: bool) -> Outcome | None:
    job, trail = attempt.job, (*route.trail, step)
    if route.mode == "compare":
        documents = compared_documents(job, attempt.storage)
        return end_comparison(attempt, documents, trail) if documents else None
    document = standing_document(job, attempt.storage)
    if document is None:
        return None
    if with_missing_crops:
        try:
            document = _with_missing_crops(attempt, document)
        except OcrQueueError as error:
            _log.warning("words stay without crops", error=error.code)
    _log.info("what stands is the result", failed=job.engine, error=step.error)
    attempts = max(document.attempts, attempt.start.number)
    return store_result(attempt, document.model_copy(update={"trail": trail, "attempts": attempts})).outcome


def _with_missing_crops(attempt: Attempt, document: Document) -> Document:
    """The pages that were sent on have none yet."""
    job, workplace = attempt.job, attempt.workplace
    missing = {page.number for page in document.pages if any(word.crop is None for word in page.words())}
    if job.crops == "none" or not missing:
        return document
    crops = crop_writer(job, attempt.name, workplace.storage, workplace.settings.upload_threads)
    with open_image(fetch(job.image, workplace.settings, workplace.storage), workplace.settings) as image:
        for page in document.pages:
            if page.number in missing:
                crops.crop(image.page(page.number).image, page)
                crops.upload()
    placed = crops.finish()
    pages = tuple(with_crops(page, placed) if page.number in missing else page for page in document.pages)
    return document.model_copy(update={"pages": pages})
