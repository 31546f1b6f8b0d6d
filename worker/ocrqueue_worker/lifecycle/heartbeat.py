"""The worker's heartbeat: a thread tells Redis every few seconds that the worker is there, and what it has in hand.

Neither a page that is being read nor the event loop can hold it up, so no lease ends of work that goes on.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from celery import bootsteps

from ocrqueue.core import Hold, WorkerInfo, WorkerRegistry
from ocrqueue.core.installation import dismiss_worker
from ocrqueue.core.side_lanes import may_take
from ocrqueue.core.worker_registry import Pulse
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.access.troubles import TROUBLES
from ocrqueue_worker.broker.beside import SIDE_LANES
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.broker.waker import WAKER
from ocrqueue_worker.lifecycle.access_watch import REDIS, AccessWatch
from ocrqueue_worker.lifecycle.shared_duties import SharedDuties
from ocrqueue_worker.lifecycle.shutdown import SHUTDOWN
from ocrqueue_worker.stop_flag import is_stopping
from ocrqueue_worker.task.cancel_requests import CANCEL_REQUESTS
from ocrqueue_worker.task.celery_task import RecognizeTask
from ocrqueue_worker.task.jobs_in_hand import running_requests
from ocrqueue_worker.task.settlement import SETTLEMENT
from ocrqueue_worker.telemetry.memory_use import worker_bytes

_log = structlog.get_logger(__name__)

_LAST_BEAT_S: Final = 6.0
"""As long as Redis may take to answer, and a moment."""
_DUTY_BEATS: Final = 1.8
"""The shared duties are kept for so many heartbeats after the last: one may be late, and two mean that it is over."""


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A worker bootstep: it goes on while the connection to the broker is lost and made again."""

    requires = (AccessWatch,)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        parent.ocrqueue_heartbeat = self
        self._begun, self._stopped = threading.Event(), threading.Event()
        self._due = threading.Event()
        """At once: there is something to tell."""
        self._duties: SharedDuties | None = None
        self._thread: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        self._duties = SharedDuties(task.settings)
        beat = _Beat(task, _announcement(parent), parent)
        TROUBLES.on_change(self._due.set)
        self._thread = threading.Thread(target=self._repeat, args=(beat, task.settings), daemon=True, name="heartbeat")
        self._thread.start()

    def begin(self) -> None:
        """The worker takes jobs from now on, and says that it is there."""
        self._begun.set()

    def look_for_messages(self) -> None:
        """Have messages by name taken in now, where that is this worker's duty."""
        if self._duties is not None:
            self._duties.look_now()

    def stop(self, parent: Any) -> None:
        self._stopped.set()
        self._begun.set()
        self._due.set()
        if self._duties is not None:
            self._duties.stop()
        if self._thread is not None:
            # a heartbeat under way would announce the worker again
            self._thread.join(_LAST_BEAT_S)
        with closing(WorkerRegistry(parent.app.tasks[RecognizeTask.name].settings)) as registry:
            try:
                dismiss_worker(registry, HAND.holder)
            except BrokerUnavailable as error:
                _log.warning("cannot sign off", error=error.code)

    terminate = stop

    def _repeat(self, beat: _Beat, settings: WorkerSettings) -> None:
        with closing(WorkerRegistry(settings)) as registry:
            self._begun.wait()
            while not self._stopped.is_set():
                is_due = self._due.is_set()
                self._due.clear()
                self._beat(beat, registry, is_due)
                if not self._stopped.is_set():
                    self._due.wait(settings.worker_heartbeat_s)

    def _beat(self, beat: _Beat, registry: WorkerRegistry, is_due: bool) -> None:
        try:
            pulse = beat.send(registry)
            TROUBLES.note(REDIS, None)
            if beat.note_side_lanes(pulse) or is_due:
                registry.wake(HAND.holder)
        except BrokerUnavailable as error:
            _log.warning("cannot tell that this worker is there", error=error.code)
            TROUBLES.note(REDIS, error, stops=False)
            pulse = None
        except Exception as error:
            # let through, it would end the heartbeat, and then all that runs here would be taken for lost
            _log.error("met an unexpected error", exc_info=error)
            pulse = None
        if self._duties is not None:
            self._duties.are_ours(pulse is not None and pulse.on_duty)


class Announcement(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep: who sees the worker announced can send it jobs, and ask it by Celery's remote control."""

    requires = ("celery.worker.consumer.tasks:Tasks", "celery.worker.consumer.control:Control")

    def start(self, parent: Any) -> None:
        begin = parent.controller.ocrqueue_heartbeat.begin
        if parent.hub is None or "solo" in str(parent.controller.pool_cls):
            # its loop rests while it reads, also in the first round
            begin()
            return

        def begin_after_this_round() -> None:
            parent.hub.call_soon(begin)
            WAKER.wake()

        # in its first round the event loop subscribes to remote control: before that nobody is answered
        parent.hub.call_soon(begin_after_this_round)


class _Beat:
    """One heartbeat of this worker."""

    def __init__(self, task: RecognizeTask, worker: WorkerInfo, controller: Any) -> None:
        self._worker = worker
        self._controller = controller
        self._duty_s = task.settings.worker_heartbeat_s * _DUTY_BEATS

    def send(self, registry: WorkerRegistry) -> Pulse:
        holds = list(dict.fromkeys([*HAND.holds(), *SETTLEMENT.holds()]))
        load = {
            "running": len(running_requests()),
            "memory_bytes": worker_bytes(self._controller),
            "draining": is_stopping(),
            # remote control may have changed both
            "queues": _lanes(self._controller),
            "concurrency": _children(self._controller),
        }
        access = {"engines": self._controller.ocrqueue_offers.now(), "troubles": TROUBLES.now()}
        self._worker = self._worker.model_copy(update=load | access)
        announcement = "" if SHUTDOWN.has_left else self._worker.model_dump_json(exclude={"seen_at"})
        pulse = registry.heartbeat(HAND.holder, announcement, holds, self._duty_s)
        for hold, answer in zip(holds, pulse.answers, strict=True):
            self._heed(hold, answer)
        if pulse.drains:
            SHUTDOWN.begin()
        return pulse

    def note_side_lanes(self, pulse: Pulse) -> bool:
        """Returns whether there are new ones that this worker may take from."""
        return SIDE_LANES.note([name for name in pulse.side_lanes if may_take(name, self._worker)])

    @staticmethod
    def _heed(hold: Hold, answer: str) -> None:
        if answer == "stop":
            CANCEL_REQUESTS.note(hold)
        if answer == "gone":
            HAND.note_gone(hold)


def _announcement(parent: Any) -> WorkerInfo:
    return WorkerInfo(
        name=parent.hostname,
        holder=HAND.holder,
        queues=_lanes(parent),
        engines=(),
        concurrency=_children(parent),
        pid=os.getpid(),
        started_at=datetime.now(UTC),
    )


def _lanes(controller: Any) -> tuple[str, ...]:
    """That the worker takes from now."""
    return tuple(controller.app.amqp.queues.consume_from)


def _children(controller: Any) -> int:
    return int(getattr(controller.pool, "num_processes", None) or controller.concurrency)
