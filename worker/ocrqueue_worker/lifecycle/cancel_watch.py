"""Cancelling a part that is deep in an engine's call and does not look up.

Redis says on one channel which parts under way are to stop; every worker listens to it. A part of several pages looks
up between them. One that has not stopped a moment after is in a call that cannot be interrupted: its child is killed,
and Celery replaces it. Parts that were read in the same call go back to their lanes, without a mark. In threads and in
the worker's own process there is no child to kill: there a part stops between its pages.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing, suppress
from functools import partial
from typing import Any, Final

import structlog
from celery import bootsteps

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import BrokerUnavailable, WorkerLost
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.lifecycle.readiness import Readiness
from ocrqueue_worker.task.cancel_requests import CANCEL_REQUESTS
from ocrqueue_worker.task.celery_task import RecognizeTask
from ocrqueue_worker.task.jobs_in_hand import running_requests
from ocrqueue_worker.task.settlement import SETTLEMENT

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.1
_LISTEN_S: Final = 30.0
_PAUSE_S: Final = 1.0
"""After a lost connection, until the next try."""


class CancelWatch(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A worker bootstep of prefork workers: kills the child of a part that is to stop and does not."""

    requires = (Readiness,)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.enabled = "prefork" in str(parent.pool_cls)
        self._stopped = threading.Event()

    def start(self, parent: Any) -> None:
        settings = parent.app.tasks[RecognizeTask.name].settings
        for run in (self._listen, self._stop_overdue):
            threading.Thread(target=run, args=(settings,), daemon=True, name="cancel watch").start()

    def stop(self, parent: Any) -> None:
        self._stopped.set()

    terminate = stop

    def _listen(self, settings: WorkerSettings) -> None:
        with closing(WorkerRegistry(settings)) as registry:
            while not self._stopped.is_set():
                try:
                    with broker_errors():
                        self._hear(registry)
                except BrokerUnavailable:
                    # what is missed meanwhile the heartbeat's answers tell
                    self._stopped.wait(_PAUSE_S)

    def _hear(self, registry: WorkerRegistry) -> None:
        with registry.client.pubsub(ignore_subscribe_messages=True) as events:  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            events.subscribe(registry.keys.cancel())
            while not self._stopped.is_set():
                message = events.get_message(timeout=_LISTEN_S)
                if message is not None:
                    part, _, token = message["data"].decode(errors="replace").partition(" ")
                    if (hold := Hold(part, token)) in HAND.holds():
                        CANCEL_REQUESTS.note(hold)

    def _stop_overdue(self, _: WorkerSettings) -> None:
        while not self._stopped.is_set():
            CANCEL_REQUESTS.asked.wait(_LISTEN_S)
            CANCEL_REQUESTS.asked.clear()
            while not CANCEL_REQUESTS.is_empty() and not self._stopped.wait(_LOOK_EVERY_S):
                CANCEL_REQUESTS.forget_all_but(set(HAND.holds()))
                for hold in CANCEL_REQUESTS.overdue():
                    if HAND.is_about_to_end(hold):
                        # its result may be stored, and then stands
                        CANCEL_REQUESTS.note(hold)
                    else:
                        _kill_child_of(hold)


def _kill_child_of(hold: Hold) -> None:
    """Celery would notice its end some seconds later: what it had is settled here."""
    for request in running_requests():
        if hold in request.holds and request.worker_pid:
            _log.info("killing the child of a cancelled job", job_id=hold.job_id, child=request.worker_pid)
            with suppress(ProcessLookupError):
                os.kill(request.worker_pid, signal.SIGKILL)
            SETTLEMENT.ask(partial(_settle, request.holds, len(request.parts) > 1), request.holds)


def _settle(holds: list[Hold], alone: bool, registry: WorkerRegistry) -> None:
    for hold in holds:
        registry.release(hold, WorkerLost().info, alone=alone)
