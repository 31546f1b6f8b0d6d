"""The end of a worker: what runs may finish within the grace, the rest goes back to the queue without a mark."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, Final

import structlog
from celery.apps.worker import Worker

from ocrqueue.core import Holder, JobStatus, Registry
from ocrqueue.core.installation import dismiss_worker
from ocrqueue.errors import BrokerUnavailable, WorkerStopping
from ocrqueue.settings import process_settings
from ocrqueue.tracing import send_last_spans
from ocrqueue_worker.lifecycle.liveness import touch
from ocrqueue_worker.lifecycle.readiness import stop_loading
from ocrqueue_worker.task.jobs_in_hand import jobs_in_hand, running_jobs
from ocrqueue_worker.task.stop_flag import begin_stopping
from ocrqueue_worker.telemetry import metrics

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.2


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

    def wait_for_soft_shutdown(self) -> None:
        """Runs in a signal handler, with the event loop at rest: only the records tell what the jobs do."""
        begin_stopping()
        stop_loading(self)
        if "solo" in str(self.pool_cls):
            self._let_the_job_end()
        elif self._drain() and not self._is_prefork:
            self._exit()

    def _let_the_job_end(self) -> None:
        """The job runs in this very thread, below this handler: the worker stops after it, or after the grace."""
        if not running_jobs():
            return
        # which would raise out of the handler into the job
        self.consumer.cancel_active_requests = _nothing_to_cancel
        threading.Thread(target=self._exit_after_grace, daemon=True).start()

    def _exit_after_grace(self) -> None:
        self._drain()
        self._exit()

    def _drain(self) -> bool:
        """Wait for the jobs to end, and put back those that do not within the grace; true if there were any."""
        settings = process_settings()
        # of its own: the handler may have interrupted a command of the one in use
        registry = Registry(settings)
        try:
            unfinished = _wait(registry, list(running_jobs()), settings.shutdown_grace_s)
            if unfinished:
                self._put_back(registry)
        except BrokerUnavailable as error:
            _log.warning("cannot tell what is unfinished", error=error.code)
            return True
        finally:
            registry.close()
        return bool(unfinished)

    def _put_back(self, registry: Registry) -> None:
        """In order, which is no delivery lost with its worker."""
        error, holder, back = WorkerStopping().info, Holder(self.hostname), []
        for request in {id(request): request for request in jobs_in_hand().values()}.values():
            # those of a group the last one first: each is put in front of those before it
            for job in reversed(request.jobs):
                if self._is_prefork:
                    done = registry.hand_back(job, error, holder)
                else:
                    done = registry.release(job, error, holder, not request.ignore_result)
                if done == "released":
                    back.append(job.id)
        _log.warning("jobs go back to the queue", jobs=back)

    @property
    def _is_prefork(self) -> bool:
        """Whether Celery can break off what runs, and then puts its message back."""
        return "prefork" in str(self.pool_cls)

    def _exit(self) -> None:
        """At once: what still runs in a thread is none of this worker's any more."""
        registry = Registry(process_settings())
        try:
            dismiss_worker(registry, self.hostname)
        except BrokerUnavailable as error:
            _log.warning("cannot sign off", error=error.code)
        metrics.close()
        send_last_spans()
        os._exit(0)


def _nothing_to_cancel(*_: Any) -> None:
    pass


def _wait(registry: Registry, job_ids: list[str], grace_s: float) -> list[str]:
    """Wait until the jobs have ended, `grace_s` seconds at most; returns those that have not."""
    deadline = time.monotonic() + grace_s
    while True:
        statuses = zip(job_ids, registry.statuses(job_ids), strict=True)
        job_ids = [job_id for job_id, status in statuses if status is not None and _is_under_way(status)]
        if not job_ids or time.monotonic() >= deadline:
            return job_ids
        registry.heartbeat(job_ids)
        # the event loop is at rest
        touch(process_settings().health_file)
        time.sleep(_LOOK_EVERY_S)


def _is_under_way(status: JobStatus) -> bool:
    """Whether a job that a child or thread has runs, or is about to; one that went back to its queue has an error."""
    return status.state == "running" or (status.state == "queued" and not status.attempts and status.error is None)
