"""What the engines of a route leave to each other in storage, below `results/<job id>/steps/`.

`<attempt>-<engine>.json`: the Document of one engine alone, kept with the result. `<attempt>-standing.json`: what stood
when the job went on to the next engine, with the crops of the pages that are done; deleted when the job ends. Both are
named by the attempt, so that two attempts at one step, of which one was taken for lost, do not mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ocrqueue.core.installation import engines_seen, live_workers
from ocrqueue.core.registry import Registry
from ocrqueue.document import Document, stored_document
from ocrqueue.errors import StorageNotFound
from ocrqueue.job import Job
from ocrqueue.job.route import Route, Step
from ocrqueue.storage import Storage

_SEEN_WITHIN_S: Final = 600.0
"""A worker of the next engine: after an outage of Redis none has been heard of lately."""


@dataclass(frozen=True, slots=True)
class Onward:
    """The job as it goes to the queue of the next engine."""

    job: Job
    pages: int
    """How many the engine before has read."""


def alone_key(job_id: str, attempt: int, engine: str) -> str:
    return f"results/{job_id}/steps/{attempt}-{engine}.json"


def standing_key(job_id: str, attempt: int) -> str:
    return f"results/{job_id}/steps/{attempt}-standing.json"


def standing_document(job: Job, storage: Storage) -> Document | None:
    """What stood after the last engine that read pages; None if none did, or it is gone."""
    for step in reversed(_steps_made(job)):
        return _stored(storage, standing_key(job.id, step.attempt))
    return None


def compared_documents(job: Job, storage: Storage) -> dict[str, Document]:
    """By engine, in the order of their turns, what each has read; the first has crops."""
    found = {step.engine: _stored(storage, standing_key(job.id, step.attempt)) for step in _steps_made(job)}
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


def open_route(route: Route, registry: Registry) -> Route | None:
    """The route without the engines ahead that nobody works for: what waits for those may wait for ever.

    Those compared are waited for, and so are those whose workers are started on demand. None if the engine whose turn
    it is would be the last.
    """
    if route.following is None:
        return None
    if route.mode == "compare":
        return route
    had, ahead = route.engines[: route.step + 1], route.engines[route.step + 1 :]
    manned = engines_seen(registry, _SEEN_WITHIN_S) | {*registry.settings.engines_on_demand}
    open_ahead = tuple(engine for engine in ahead if engine in manned)
    if not open_ahead:
        return None
    passed_over = [engine for engine in ahead if engine not in manned]
    note = f"; without a worker after {route.engine}: {', '.join(passed_over)}" if passed_over else ""
    return route.model_copy(update={"engines": (*had, *open_ahead), "reason": f"{route.reason}{note}"[:1000]})


def reads_lines(engine: str, registry: Registry) -> bool:
    """Whether a live worker says that the engine reads single lines of a page."""
    offers = (offer for worker in live_workers(registry) for offer in worker.engines)
    return any(offer.reads_lines for offer in offers if offer.name == engine)


def onward(job: Job, route: Route, step: Step) -> Onward:
    """`route` has an engine that follows."""
    following = route.after(step)
    return Onward(job.model_copy(update={"route": following, "engine": following.engine}), step.pages)
