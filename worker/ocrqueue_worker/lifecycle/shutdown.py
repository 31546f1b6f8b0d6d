"""The end of a worker: what runs may finish within the grace, the rest goes back to the queue without a mark."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from contextlib import closing, suppress
from typing import Any, Final

import click
import structlog
from billiard import active_children
from celery.apps.worker import Worker

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue.core.installation import dismiss_worker
from ocrqueue.errors import BrokerUnavailable, SettingsInvalid, WorkerStopping
from ocrqueue.job import is_lane
from ocrqueue.settings import process_settings
from ocrqueue.tracing import send_last_spans
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.lifecycle.liveness import touch
from ocrqueue_worker.lifecycle.readiness import stop_loading
from ocrqueue_worker.stop_flag import begin_stopping
from ocrqueue_worker.task.settlement import SETTLEMENT
from ocrqueue_worker.telemetry import metrics

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.2
_LONGEST_SETTLING_S: Final = 5.0
_LONGEST_OUTAGE_S: Final = 10.0
"""After the grace, until Redis is waited for no longer."""
_LONGEST_END_S: Final = 30.0
"""After the grace, for an end in order."""


class DrainingWorker(Worker):  # type: ignore[misc]  # celery has no types
    """Celery's worker, with a soft shutdown that ends when the jobs do, and that every pool obeys.

    Celery's own sleeps for the whole of `worker_soft_shutdown_timeout`, however soon the jobs are done. Afterwards
    prefork kills its children, but threads cannot be killed, and solo would break the job off and call it failed.
    """

    def start(self) -> None:
        """Raises SystemExit where the worker ended by an error: Celery's `worker_main` keeps the status to itself."""
        super().start()
        if self.exitcode:
            sys.exit(self.exitcode)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # workers tell each other nothing by Celery: the core knows who is there, and an idle worker asks Redis little
        options.update(without_gossip=True, without_mingle=True, without_heartbeat=True)
        super().__init__(*arguments, **options)

    def setup_queues(self, include: Any, exclude: Any = None) -> None:
        """Raises SystemExit for a queue that no job can wait in."""
        super().setup_queues(include, exclude)
        unknown = [queue for queue in self.app.amqp.queues.consume_from if not is_lane(queue)]
        if unknown:
            names = "ocr.ENGINE, ocr.ENGINE.high or ocr.ENGINE.low"
            error = SettingsInvalid(f"No engine has a queue {unknown[0]!r}.", remedy=f"Name lanes: {names}.")
            click.echo(f"error: {error}", err=True)
            sys.exit(2)

    def wait_for_soft_shutdown(self) -> None:
        """Runs in a signal handler, with the event loop at rest: only Redis tells what has become of the parts."""
        begin_stopping()
        stop_loading(self)
        settings = process_settings()
        threading.Thread(
            target=_end_in_any_case, args=(settings.shutdown_grace_s + _LONGEST_END_S,), daemon=True
        ).start()
        if "solo" in str(self.pool_cls):
            self._let_the_job_end()
        elif self._drain() and not self._is_prefork:
            self._exit()

    def _let_the_job_end(self) -> None:
        """The job runs in this very thread, below this handler: the worker stops after it, or after the grace."""
        if not HAND.holds():
            return
        # which would raise out of the handler into the job
        self.consumer.cancel_active_requests = _nothing_to_cancel
        threading.Thread(target=self._exit_after_grace, daemon=True).start()

    def _exit_after_grace(self) -> None:
        self._drain()
        self._exit()

    def _drain(self) -> bool:
        """Wait for what is in hand to end, and put back what does not within the grace; true if there was any.

        Where Redis is away it is waited for: what is not put back counts as lost with its worker.
        """
        settings = process_settings()
        end_of_grace = time.monotonic() + settings.shutdown_grace_s
        # of its own: the handler may have interrupted a command of the one in use
        with closing(WorkerRegistry(settings)) as registry:
            while True:
                try:
                    return _put_back_unfinished(registry, end_of_grace)
                except BrokerUnavailable as error:
                    if time.monotonic() >= end_of_grace + _LONGEST_OUTAGE_S:
                        _log.warning("cannot tell what is unfinished", error=error.code)
                        return True
                touch(settings.health_file)
                time.sleep(_LOOK_EVERY_S)

    @property
    def _is_prefork(self) -> bool:
        """Whether Celery can break off what runs."""
        return "prefork" in str(self.pool_cls)

    def _exit(self) -> None:
        """At once: what still runs in a thread is none of this worker's any more."""
        SETTLEMENT.finish(_LONGEST_SETTLING_S)
        registry = WorkerRegistry(process_settings())
        try:
            dismiss_worker(registry, HAND.holder)
        except BrokerUnavailable as error:
            _log.warning("cannot sign off", error=error.code)
        metrics.close()
        send_last_spans()
        os._exit(0)


def _nothing_to_cancel(*_: Any) -> None:
    pass


def _end_in_any_case(seconds: float) -> None:
    """A worker that was told to end ends, whatever holds it up: what it had has been put back by then."""
    time.sleep(seconds)
    _log.error("the worker did not end in order, and ends now", seconds=seconds)
    # what it waits for shows nowhere else; of frames it tells names and lines, and no values
    faulthandler.dump_traceback(all_threads=True)
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    os._exit(1)


def _put_back_unfinished(registry: WorkerRegistry, end_of_grace: float) -> bool:
    """Whether anything in hand had not ended by then."""
    # the signal may have come in the middle of a TAKE
    for hold in (*HAND.holds(), *registry.taken(HAND.holder, HAND.next_token)):
        registry.give_back_unbegun(hold)
    unfinished = _wait(registry, HAND.holds(), end_of_grace)
    if unfinished:
        _put_back(registry, unfinished)
    return bool(unfinished)


def _wait(registry: WorkerRegistry, holds: list[Hold], deadline: float) -> list[Hold]:
    """Wait until the parts have left this worker's hand, or time is up; returns those that have not."""
    while True:
        # all of them each time: a closing part is there once the last page is done
        answers = registry.heartbeat(HAND.holder, "", holds).answers
        left = [hold for hold, answer in zip(holds, answers, strict=True) if answer != "gone"]
        if not left or time.monotonic() >= deadline:
            return left
        # the event loop is at rest
        touch(process_settings().health_file)
        time.sleep(_LOOK_EVERY_S)


def _put_back(registry: WorkerRegistry, holds: list[Hold]) -> None:
    """In order, which is no delivery lost with its worker."""
    error = WorkerStopping().info
    back = [hold.part for hold in holds if registry.release(hold, error) == "released"]
    _log.warning("parts go back to their lanes", parts=back)
