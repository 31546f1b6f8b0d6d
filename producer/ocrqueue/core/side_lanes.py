"""Side lanes: where parts wait that one worker has given back, and that others can read.

A part stays out of the way of those behind it, and TAKE looks at no part that it does not take: all that waits in a
side lane may be taken by the same workers, and these ask for it beside its lane. Its name is `<lane>/<who may take>`:
`ocr.tesseract/fra+kor` for workers that read these languages, `ocr.tesseract/!<holder>` for any but that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from ocrqueue.core.records import WorkerInfo
from ocrqueue.core.registry import Registry

_BETWEEN: Final = "/"
_NOT: Final = "!"
MOST_AT_ONCE: Final = 100
"""Side lanes that are looked at in one go; more than a few are rare."""


def lane_of(name: str) -> str:
    """The lane that a side lane belongs to; a lane itself."""
    return name.partition(_BETWEEN)[0]


def side_lanes(registry: Registry) -> list[str]:
    """Those in which something waits, or has a moment ago, in order. Raises BrokerUnavailable."""
    with registry.errors():
        found = cast("set[bytes]", registry.client.smembers(registry.keys.side_lanes()))
    return sorted(name.decode() for name in found)


def for_languages(lane: str, languages: Iterable[str]) -> str:
    """That of parts which need workers with these languages."""
    return f"{lane_of(lane)}{_BETWEEN}{'+'.join(sorted(set(languages)))}"


def for_others(lane: str, holder: str) -> str:
    """That of parts which any other worker than this one may take."""
    return f"{lane_of(lane)}{_BETWEEN}{_NOT}{holder}"


def languages_of(name: str) -> tuple[str, ...]:
    """Those that a worker needs for what waits there."""
    who = name.partition(_BETWEEN)[2]
    return tuple(who.split("+")) if who and not who.startswith(_NOT) else ()


def may_take(name: str, worker: WorkerInfo) -> bool:
    """Whether the worker takes from this lane or side lane, as it has announced itself."""
    lane, _, who = name.partition(_BETWEEN)
    engine = lane.split(".")[1]
    if lane not in worker.queues or not worker.takes(engine) or who == f"{_NOT}{worker.holder}":
        return False
    needed = set(languages_of(name))
    offers = [set(offer.languages) for offer in worker.engines if offer.name == engine]
    return any(not languages or needed <= languages for languages in offers)


def would_take(name: str, worker: WorkerInfo) -> bool:
    """Whether the worker does once its own access is mended: what stops all that it would take is not the part's."""
    mended = tuple(trouble for trouble in worker.troubles if trouble.engine is not None)
    return may_take(name, worker.model_copy(update={"troubles": mended}))
