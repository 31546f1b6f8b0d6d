"""The end of a document with a route whose pages have taken it each by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ocrqueue.core import Outcome
from ocrqueue.document import Document, Page
from ocrqueue.job.route import Step
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.cache_key import remember_reading
from ocrqueue_worker.pipeline.fetching import forget_after_parts
from ocrqueue_worker.pipeline.page_parts import Gathered, documents_at, gather, together
from ocrqueue_worker.pipeline.result_storage import store_result
from ocrqueue_worker.routes.assessment import confidences, mean_number
from ocrqueue_worker.routes.steps import alone_key


def end_of_pages(attempt: Attempt) -> Outcome:
    """Gather the pages, and what each engine alone has read of them, and store the result.

    No engine is needed for it. Raises what gather() does, JobCancelled, JobElsewhere.
    """
    gathered = gather(attempt)
    trail = tuple(_merged(attempt, engine, gathered) for engine in _engines(attempt, gathered.read))
    document = together(attempt, gathered.read, gathered.failed)
    last = {read.engine.name: read.engine for read in gathered.read}
    engine = next((last[step.engine] for step in reversed(trail) if step.engine in last), document.engine)
    document = document.model_copy(update={"trail": trail, "engine": engine, "options": attempt.job.options})
    attempt.check_cancelled(len(document.pages), len(document.pages))
    stored = store_result(attempt, document, gathered.spent)
    forget_after_parts(attempt)
    return stored.outcome


def _engines(attempt: Attempt, read: Iterable[Document]) -> list[str]:
    """In the order of the route. A page that found no worker of one has left it out."""
    route = attempt.job.route
    known = route.engines if route else ()
    found = dict.fromkeys(step.engine for document in read for step in document.trail)
    return sorted(found, key=lambda engine: known.index(engine) if engine in known else len(known))


def _merged(attempt: Attempt, engine: str, gathered: Gathered) -> Step:
    """How the engine has fared with all pages that it had."""
    steps = [(page, step) for page in gathered.read for step in page.trail if step.engine == engine]
    made = [step for _, step in steps if step.pages]
    errors = [step.error for _, step in steps if step.error]
    told = made[0] if made else steps[0][1]
    alone = _alone(attempt, [step for _, step in steps], gathered)
    return Step(
        engine=engine,
        version=told.version,
        model=told.model,
        attempt=max(step.attempt for _, step in steps),
        pages=sum(step.pages for step in made),
        pages_sent_on=sum(step.pages_sent_on for step in made),
        lines_sent_on=sum(step.lines_sent_on for step in made),
        mean_confidence=_mean_of_pages(alone.pages) if alone else _mean_of_steps(steps),
        seconds=round(sum(step.seconds for step in made), 4),
        # of single pages their own trail tells
        error=errors[0] if errors and not made else None,
        result=_store_alone(attempt, engine, alone, [step.remember_as for _, step in steps]) if alone else None,
    )


def _alone(attempt: Attempt, steps: Sequence[Step], gathered: Gathered) -> Document | None:
    """What the engine by itself has read, where it has read all pages whole."""
    found = [step.result for step in steps if step.result]
    if gathered.failed or len(found) < attempt.start.pages:
        return None
    return together(attempt, documents_at(attempt, found), {})


def _store_alone(attempt: Attempt, engine: str, alone: Document, keys: Sequence[str | None]) -> str:
    written = alone.model_dump_json().encode()
    with attempt.watch.measure("upload_s"):
        uri = attempt.storage.put(alone_key(attempt, engine), written, "application/json")
    key = keys[0] if len(set(keys)) == 1 else None
    if key is not None and alone.status == "succeeded":
        remember_reading(attempt, key, uri)
    return uri


def _mean_of_pages(pages: Iterable[Page]) -> float | None:
    mean = mean_number([known for page in pages for known in (*confidences(page.words()), *page.unread)])
    return None if mean is None else round(mean, 4)


def _mean_of_steps(steps: Iterable[tuple[Document, Step]]) -> float | None:
    """Each page with as many words as the engine read on it."""
    total = weights = 0.0
    for document, step in steps:
        if step.mean_confidence is not None:
            entries = [entry for page in document.pages for entry in page.trail if entry.engine == step.engine]
            words = sum(entry.words for entry in entries) or 1
            total, weights = total + words * step.mean_confidence, weights + words
    return round(total / weights, 4) if weights else None
