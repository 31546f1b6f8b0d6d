"""A Document on its way to storage: result.json is written last and once, so that where it is, the job is complete."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from ocrqueue.core import Outcome
from ocrqueue.document import Document, Timings, stored_document
from ocrqueue.leftovers import remove_leftovers
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.outputs import with_outputs
from ocrqueue_worker.pipeline.page_objects import as_stored, written

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Stored:
    """The Document that stands, where it is, and the outcome that it makes of the job."""

    document: Document
    uri: str
    outcome: Outcome
    adopted: bool
    """An earlier attempt stored it."""


def store_result(
    attempt: Attempt,
    document: Document,
    before: Timings | None = None,
    *,
    data: bytes | None = None,
    may_read_image: bool = True,
) -> Stored:
    """Store the job's outputs and then the Document, with this attempt's times, unless another attempt has stored one.

    `before`: what the parts have spent whose pages are gathered; `data` and `may_read_image`: see with_outputs().
    """
    storage, job_id = attempt.storage, attempt.job.id
    with attempt.watch.measure("upload_s"):
        document = as_stored(attempt, document)
    document = with_outputs(attempt, document, data, may_read_image=may_read_image)
    attempt.workplace.about_to_end(attempt.hold)
    with attempt.watch.measure("upload_s"):
        document = document.model_copy(update={"timings": attempt.timings(before)})
        own = written(document)
        standing = storage.put_once(result_key(job_id), own, "application/json")
    uri = storage.uri(result_key(job_id))
    adopted = standing != own
    if adopted:
        _log.info("the result of another attempt stands")
        document = stored_document(standing, storage)
    if adopted or attempt.is_closing or attempt.start.number > 1 or len(document.trail) > 1:
        remove_leftovers(storage, job_id, document)
    outcome = Outcome.of(document, uri, attempt.timings(before)).model_copy(update={"stored_anew": not adopted})
    return Stored(document, uri, outcome, adopted)


def result_key(job_id: str) -> str:
    return f"results/{job_id}/result.json"
