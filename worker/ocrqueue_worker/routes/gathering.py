"""The end of a document with a route whose pages have taken it each by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from ocrqueue.core import Outcome
from ocrqueue.document import Document, EngineInfo, PageObject
from ocrqueue.job.route import Step
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.cache_key import remember_reading
from ocrqueue_worker.pipeline.fetching import forget_after_parts
from ocrqueue_worker.pipeline.page_objects import written
from ocrqueue_worker.pipeline.page_parts import gather, together
from ocrqueue_worker.pipeline.result_storage import store_result
from ocrqueue_worker.routes.steps import alone_key


def end_of_pages(attempt: Attempt) -> Outcome:
    """Gather the pages, and what each engine alone has read of them, and store the result.

    No engine is needed for it. Raises what gather() does, JobCancelled, JobElsewhere.
    """
    found: dict[str, _Sum] = {}
    infos: dict[str, EngineInfo] = {}

    def each(read: Document) -> None:
        infos[read.engine.name] = read.engine
        for step in read.trail:
            found.setdefault(step.engine, _Sum()).add(read, step)

    gathered = gather(attempt, each)
    trail = tuple(_merged(attempt, engine, found[engine]) for engine in _in_order(attempt, found))
    info = next((infos[step.engine] for step in reversed(trail) if step.engine in infos), gathered.document.engine)
    document = gathered.document.model_copy(update={"trail": trail, "engine": info, "options": attempt.job.options})
    attempt.check_cancelled(len(document.pages), len(document.pages))
    stored = store_result(attempt, document, gathered.spent)
    forget_after_parts(attempt)
    return stored.outcome


@dataclass
class _Sum:
    """How one engine has fared with the pages that it had."""

    told: Step | None = None
    """One that read its page, if any did."""
    attempt: int = 0
    pages: int = 0
    pages_sent_on: int = 0
    lines_sent_on: int = 0
    seconds: float = 0.0
    error: str | None = None
    weights: float = 0.0
    confidence: float = 0.0
    """Each page's, as many times as the engine read words on it."""
    alone: list[PageObject] = field(default_factory=list)
    remember_as: set[str | None] = field(default_factory=set)

    def add(self, read: Document, step: Step) -> None:
        if self.told is None or (step.pages and not self.told.pages):
            self.told = step
        self.attempt = max(self.attempt, step.attempt)
        self.pages += step.pages
        self.pages_sent_on += step.pages_sent_on
        self.lines_sent_on += step.lines_sent_on
        self.seconds += step.seconds
        self.error = self.error or step.error
        if step.mean_confidence is not None:
            entries = [entry for page in read.pages for entry in page.trail if entry.engine == step.engine]
            words = sum(entry.words for entry in entries) or 1
            self.weights, self.confidence = self.weights + words, self.confidence + words * step.mean_confidence
        if step.result:
            self.alone.append(PageObject(number=read.pages[0].number, uri=step.result))
            self.remember_as.add(step.remember_as)


def _in_order(attempt: Attempt, found: dict[str, _Sum]) -> list[str]:
    """That of the route. A page that found no worker of an engine has left it out."""
    route = attempt.job.route
    known = route.engines if route else ()
    return sorted(found, key=lambda engine: known.index(engine) if engine in known else len(known))


def _merged(attempt: Attempt, engine: str, found: _Sum) -> Step:
    alone = _alone(attempt, engine, found)
    mean = alone[0].mean_confidence if alone else found.confidence / found.weights if found.weights else None
    return Step(
        engine=engine,
        version=found.told.version if found.told else None,
        model=found.told.model if found.told else None,
        attempt=found.attempt,
        pages=found.pages,
        pages_sent_on=found.pages_sent_on,
        lines_sent_on=found.lines_sent_on,
        mean_confidence=None if mean is None else round(mean, 4),
        seconds=round(found.seconds, 4),
        # of single pages their own trail tells
        error=None if found.pages else found.error,
        result=alone[1] if alone else None,
    )


def _alone(attempt: Attempt, engine: str, found: _Sum) -> tuple[Document, str] | None:
    """What the engine by itself has read, and where it is stored now; None where it has not read all pages whole."""
    if len(found.alone) < attempt.start.pages:
        return None
    document = together(attempt, tuple(found.alone))
    with attempt.watch.measure("upload_s"):
        uri = attempt.storage.put(alone_key(attempt, engine), written(document), "application/json")
    (key, *others) = found.remember_as
    if key is not None and not others and document.status == "succeeded":
        remember_reading(attempt, key, uri)
    return document, uri
