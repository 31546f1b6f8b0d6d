"""The end of a worker: what runs may finish within the grace, the rest goes back to the queue without a mark."""

from __future__ import annotations

import time
from typing import Final

import structlog
from celery.apps.worker import Worker

from ocrqueue.errors import BrokerUnavailable, WorkerStopping
from ocrqueue.registry import Registry
from ocrqueue.settings import process_settings
from ocrqueue_worker.jobs_at_work import jobs_at_work

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.2


class DrainingWorker(Worker):  # type: ignore[misc]  # celery has no types
    """Celery's worker, with a soft shutdown that ends when the jobs do.

    Celery's own sleeps for the whole of `worker_soft_shutdown_timeout`, however soon the jobs are done.
    """

    def wait_for_soft_shutdown(self) -> None:
        """Runs in a signal handler, with the event loop at rest: only the records tell what the children do."""
        settings = process_settings()
        # of its own: the handler may have interrupted a command of the one in use
        registry = Registry(settings)
        try:
            unfinished = _wait(registry, list(jobs_at_work()), settings.shutdown_grace_s)
            for job_id in unfinished:
                # back to the queue in order: that is no delivery lost with its worker
                registry.release(job_id, WorkerStopping().info)
            if unfinished:
                _log.warning("jobs go back to the queue", jobs=unfinished)
        except BrokerUnavailable as error:
            _log.warning("cannot tell what is unfinished", error=error.code)
        finally:
            registry.close()


def _wait(registry: Registry, job_ids: list[str], grace_s: float) -> list[str]:
    """Wait until the jobs have ended, `grace_s` seconds at most; returns those that have not."""
    deadline = time.monotonic() + grace_s
    while True:
        statuses = zip(job_ids, registry.statuses(job_ids), strict=True)
        job_ids = [job_id for job_id, status in statuses if status is not None and status.state == "running"]
        if not job_ids or time.monotonic() >= deadline:
            return job_ids
        registry.heartbeat(job_ids)
        time.sleep(_LOOK_EVERY_S)
