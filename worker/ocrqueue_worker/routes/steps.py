"""What the engines of a route leave to each other in storage, below `results/<job id>/steps/`.

`<attempt>-<engine>.json`: the Document of one engine alone, kept with the result. `<attempt>-standing.json`: what stood
when the job went on to the next engine, with the crops of the pages that are done; deleted when the job ends. Both are
named by the attempt, so that two attempts at one step, of which one was taken for lost, do not mix, whatever was
replayed or forgotten in between. Of a page that takes the route by itself they lie beside what is read of it, with its
number before, until the job ends.
"""

from __future__ import annotations

from ocrqueue.document import Document, stored_document
from ocrqueue.errors import StorageNotFound
from ocrqueue.job import Job
from ocrqueue.job.route import Step
from ocrqueue.storage import Storage
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.page_parts import pages_folder


def alone_key(attempt: Attempt, engine: str) -> str:
    return f"{_beginning(attempt)}{attempt.name or 1}-{engine}.json"


def standing_key(attempt: Attempt) -> str:
    return _standing_key(attempt, attempt.name)


def standing_document(attempt: Attempt) -> Document | None:
    """What stood after the last engine that read pages; None if none did, or it is gone."""
    for step in reversed(_steps_made(attempt.job)):
        return _stored(attempt.storage, _standing_key(attempt, step.stored_as))
    return None


def compared_documents(attempt: Attempt) -> dict[str, Document]:
    """By engine, in the order of their turns, what each has read; the first has crops."""
    found = {
        step.engine: _stored(attempt.storage, _standing_key(attempt, step.stored_as))
        for step in _steps_made(attempt.job)
    }
    return {engine: document for engine, document in found.items() if document is not None}


def read_before(job: Job) -> bool:
    """Whether an engine before this one has read the image."""
    return bool(_steps_made(job))


def _standing_key(attempt: Attempt, name: str) -> str:
    return f"{_beginning(attempt)}{name or 1}-standing.json"


def _beginning(attempt: Attempt) -> str:
    if attempt.hold.page is None:
        return f"results/{attempt.job.id}/steps/"
    return f"{pages_folder(attempt)}steps/{attempt.hold.page:05d}-"


def _steps_made(job: Job) -> list[Step]:
    return [step for step in (job.route.trail if job.route else ()) if step.attempt and step.error is None]


def _stored(storage: Storage, key: str) -> Document | None:
    try:
        return stored_document(storage.get(key))
    except StorageNotFound:
        return None
