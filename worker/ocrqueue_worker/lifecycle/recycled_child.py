"""A prefork worker's child that ends in order once it has done its jobs: see ocrqueue_worker.limits.recycling."""

from __future__ import annotations

import sys
from typing import Any, Final

import structlog
from billiard.pool import EX_RECYCLE
from celery.concurrency import asynpool

from ocrqueue_worker.limits.recycling import RECYCLING

_log = structlog.get_logger(__name__)

_LAST_LOOK_S: Final = 0.2
"""In which a message can still come that the main process had sent before it heard."""


class RecycledChild(asynpool.Worker):  # type: ignore[misc]  # celery has no types
    """Celery's own, but for that."""

    wait_for_job: Any
    inq: Any

    def _make_child_methods(self, *arguments: Any, **options: Any) -> None:
        super()._make_child_methods(*arguments, **options)
        receive = self.wait_for_job

        def wait_for_job() -> Any:
            if RECYCLING.is_leaving and not self.inq._reader.poll(_LAST_LOOK_S):
                _log.info("child has done its jobs, and is replaced", jobs=RECYCLING.jobs)
                # the status by which Celery's pool knows that this is no loss
                sys.exit(EX_RECYCLE)
            return receive()

        self.wait_for_job = wait_for_job


def recycle_children() -> None:
    """For this process's pool, before it is made."""
    asynpool.AsynPool.Worker = RecycledChild
