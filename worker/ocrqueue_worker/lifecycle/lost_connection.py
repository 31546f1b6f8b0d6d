"""Parts of messages that Celery forgets when its connection to the broker is lost.

What its pool has not accepted by then is dropped, as a broker would deliver it again. Here nobody delivers it again:
it goes back to its lane, unless a child has begun it after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from celery import bootsteps

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.broker.waker import WAKER
from ocrqueue_worker.task.jobs_in_hand import running_requests
from ocrqueue_worker.task.settlement import SETTLEMENT

_log = structlog.get_logger(__name__)


class AfterLostConnection(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep: starts with each new connection, before messages are taken."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        known = {hold for request in running_requests() for hold in request.holds}
        forgotten = HAND.orphan_all_but(known)
        if forgotten:
            SETTLEMENT.ask(partial(_give_back, forgotten), forgotten)


def _give_back(holds: Sequence[Hold], registry: WorkerRegistry) -> None:
    for hold in holds:
        became = registry.give_back_unbegun(hold)
        _log.info("Celery has forgotten a part", part=hold.part, part_is=became)
        if became != "begun":
            HAND.note_gone(hold)
    WAKER.wake()
