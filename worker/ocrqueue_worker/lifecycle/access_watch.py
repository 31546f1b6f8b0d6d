"""Watches this worker's own access, in a thread beside the event loop, from before the worker says that it is ready."""

from __future__ import annotations

import select
import threading
import time
from contextlib import closing
from functools import partial
from typing import Any, Final

import structlog
from celery import bootsteps

from ocrqueue.core import WorkerRegistry
from ocrqueue_worker.access.look import Look
from ocrqueue_worker.access.offers import Offers
from ocrqueue_worker.access.probes import probe_redis
from ocrqueue_worker.access.troubles import TROUBLES
from ocrqueue_worker.access.verdict import VERDICT
from ocrqueue_worker.lifecycle.readiness import Readiness
from ocrqueue_worker.task.celery_task import RecognizeTask

_log = structlog.get_logger(__name__)

_FIRST_S: Final = 15.0
"""For the first look, before the worker goes on; it takes less, whatever hangs."""
_LOOK_EVERY_S: Final = 5.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 10.0
"""Between looks while something is wrong: from the first to this it doubles."""
REDIS: Final = "redis"


class AccessWatch(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A worker bootstep: the first look is over before the worker takes jobs and announces itself."""

    requires = (Readiness,)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stopped, self._looked = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        make = partial(task.engine, load=False)
        names = task.engines_of(parent.app.amqp.queues.consume_from)
        parent.ocrqueue_offers = Offers(names, make, task.settings)

    def start(self, parent: Any) -> None:
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        with closing(WorkerRegistry(task.settings)) as registry:
            TROUBLES.note(REDIS, probe_redis(registry), stops=False)
        VERDICT.watch(True)
        look = Look(task.settings, parent.ocrqueue_offers, TROUBLES, VERDICT)
        self._thread = threading.Thread(target=self._run, args=(look,), daemon=True, name="access watch")
        self._thread.start()
        self._looked.wait(_FIRST_S)

    def stop(self, parent: Any) -> None:
        self._stopped.set()
        VERDICT.watch(False)
        VERDICT.interrupt()

    terminate = stop

    def _run(self, look: Look) -> None:
        pause_s = _FIRST_PAUSE_S
        questions: set[str] = set()
        while not self._stopped.is_set():
            try:
                look.run(questions)
            except Exception as error:
                # let through, it would end this for as long as the worker lives, and those who ask would wait
                _log.error("met an unexpected error", exc_info=error)
                VERDICT.end(broken=TROUBLES.stop())
            self._looked.set()
            is_well = not TROUBLES.stop()
            pause_s = _FIRST_PAUSE_S if is_well else min(_LONGEST_PAUSE_S, 2 * pause_s)
            questions = self._wait(_LOOK_EVERY_S if is_well else pause_s)

    def _wait(self, seconds: float) -> set[str]:
        """Until somebody asks, or for so long; while something is wrong, questions have their answer already."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._stopped.is_set():
            if select.select([VERDICT.file], [], [], left)[0]:
                return VERDICT.questions()
        return set()
