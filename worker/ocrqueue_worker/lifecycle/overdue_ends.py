"""Parts that were taken while the one before them was about to end, where that takes long after all.

A child says so before it stores its result, which storage that has become slow, or Redis, can hold up. What waits
behind it goes back to its lane: another worker may be idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog
from celery import bootsteps

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.task.settlement import SETTLEMENT

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 1.0
_LONGEST_END_S: Final = 2.0


class OverdueEnds(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep: looks once a second, in the event loop."""

    def register_with_event_loop(self, _: Any, hub: Any) -> None:
        hub.call_repeatedly(_LOOK_EVERY_S, look)


def look() -> None:
    """Where an end is overdue, give back what has not begun."""
    if HAND.overdue_ends(_LONGEST_END_S):
        holds = HAND.holds()
        SETTLEMENT.ask(partial(_give_back, holds), holds)


def _give_back(holds: Sequence[Hold], registry: WorkerRegistry) -> None:
    for hold in holds:
        if registry.give_back_unbegun(hold) == "released":
            _log.info("an end takes long; a part behind it goes back", part=hold.part)
