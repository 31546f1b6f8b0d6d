"""A worker that an operator drains: it takes nothing more, what it has begun ends, however long that takes, and then it
ends in order.

SIGTERM gives what runs a grace; this gives it all the time that its limits do. The event loop and the heartbeat go on
meanwhile. Celery's warm shutdown would do for neither: the heartbeat would stop before the pool, and leases run out.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from typing import Final

import structlog
from celery.worker import state

from ocrqueue.core import WorkerRegistry
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import process_settings
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.broker.waker import WAKER
from ocrqueue_worker.stop_flag import begin_stopping
from ocrqueue_worker.task.settlement import SETTLEMENT

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.1


class Drain:
    """Begun once."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="drain")
            self._thread.start()

    def _run(self) -> None:
        parts = [hold.part for hold in HAND.holds()]
        _log.info("drains: takes nothing more, and ends once what it has begun has ended", parts=parts)
        begin_stopping()
        while HAND.holds() or not SETTLEMENT.is_idle():
            time.sleep(_LOOK_EVERY_S)
        self._give_back_what_came_late()
        # the event loop looks at it in its next round, and ends the worker with this status
        state.should_stop = os.EX_OK
        WAKER.wake()

    def _give_back_what_came_late(self) -> None:
        """Of a TAKE whose answer was lost."""
        with closing(WorkerRegistry(process_settings())) as registry:
            try:
                for hold in registry.taken(HAND.holder, HAND.next_token):
                    registry.give_back_unbegun(hold)
            except BrokerUnavailable as error:
                _log.warning("cannot give back what was taken last; its lease will end", error=error.code)


DRAIN: Final = Drain()
"""That of this process."""
