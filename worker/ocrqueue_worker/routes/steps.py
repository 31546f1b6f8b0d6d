"""What the engines of a route leave to each other in storage, below `results/<job id>/steps/`.

`<attempt>-<engine>.json`: the Document of one engine alone, kept with the result. `<attempt>-standing.json`: what stood
when the job went on to the next engine, with the crops of the pages that are done; deleted when the job ends. Both are
named by the attempt, so that two attempts at one step, of which one was taken for lost, do not mix, whatever was
replayed or forgotten in between.
"""

from __future__ import annotations

from ocrqueue.document import Document, stored_document
from ocrqueue.errors import StorageNotFound
from ocrqueue.job import Job
from ocrqueue.job.route import Step
from ocrqueue.storage import Storage


def alone_key(job_id: str, attempt: str, engine: str) -> str:
    """`attempt`: its name."""
    return f"results/{job_id}/steps/{attempt or 1}-{engine}.json"


def standing_key(job_id: str, attempt: str) -> str:
    """`attempt`: its name."""
    return f"results/{job_id}/steps/{attempt or 1}-standing.json"


def standing_document(job: Job, storage: Storage) -> Document | None:
    """What stood after the last engine that read pages; None if none did, or it is gone."""
    for step in reversed(_steps_made(job)):
        return _stored(storage, standing_key(job.id, step.stored_as))
    return None


def compared_documents(job: Job, storage: Storage) -> dict[str, Document]:
    """By engine, in the order of their turns, what each has read; the first has crops."""
    found = {step.engine: _stored(storage, standing_key(job.id, step.stored_as)) for step in _steps_made(job)}
    return {engine: document for engine, document in found.items() if document is not None}


def compared_before(job: Job) -> bool:
    """Whether an engine before this one has read the image."""
    return bool(_steps_made(job))


def _steps_made(job: Job) -> list[Step]:
    return [step for step in (job.route.trail if job.route else ()) if step.attempt and step.error is None]


def _stored(storage: Storage, key: str) -> Document | None:
    try:
        return stored_document(storage.get(key))
    except StorageNotFound:
        return None
