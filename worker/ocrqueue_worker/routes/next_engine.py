"""Which engine of a route has the next turn: by the workers that were alive lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ocrqueue.core.registry import Registry
from ocrqueue.job import Job
from ocrqueue.job.route import Route, Step
from ocrqueue_worker.routes.workers_seen import engines_seen, live_offers

_SEEN_WITHIN_S: Final = 600.0
"""How long to wait for a worker of the next engine: after an outage of Redis, none was alive lately."""


@dataclass(frozen=True, slots=True)
class Onward:
    """The job as it goes to the queue of the next engine."""

    job: Job
    pages: int
    """How many the engine before has read."""


def open_route(route: Route, registry: Registry) -> Route | None:
    """The route without the engines ahead that nobody works for: what waits for those may wait forever.

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
    return any(offer.reads_lines for offer in live_offers(registry) if offer.name == engine)


def onward(job: Job, route: Route, step: Step) -> Onward:
    """`route` has an engine that follows."""
    following = route.after(step)
    return Onward(job.model_copy(update={"route": following, "engine": following.engine}), step.pages)
