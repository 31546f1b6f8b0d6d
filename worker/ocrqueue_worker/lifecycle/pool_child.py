"""A prefork worker's child: what signals mean to it, and its end once it has done its jobs.

A supervisor or a terminal signals the whole process group. Only the main process is meant: it lets a child end what it
has begun. So a child heeds a signal of the pool's alone, which is none that writes a core, with pages and credentials.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, Final

import structlog
from billiard import pool, popen_fork
from billiard.common import _shutdown_cleanup
from billiard.pool import EX_RECYCLE
from celery.concurrency import asynpool

from ocrqueue_worker.limits.process_end import EndOfChild
from ocrqueue_worker.limits.recycling import RECYCLING

_log = structlog.get_logger(__name__)

END_OF_CHILD: Final = signal.SIGUSR2
"""What the pool sends to a child that is to end."""
_LAST_LOOK_S: Final = 0.2
"""In which a message can still come that the main process had sent before it heard."""


class PoolChild(asynpool.Worker):  # type: ignore[misc]  # celery has no types
    """Celery's own, but that it ends in order once it has done its jobs: see ocrqueue_worker.limits.recycling."""

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


def fit_children() -> None:
    """For this process's pool, before it is made."""
    asynpool.AsynPool.Worker = PoolChild
    for module in (pool, popen_fork):
        module.TERM_SIGNAL = END_OF_CHILD


def set_signals_of_child(**_: Any) -> None:
    """In a child, before it loads its engines: Celery has reset its own by now, and billiard leaves what is ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    # a second one then ends it wherever it is
    signal.signal(END_OF_CHILD, _end)


def _end(number: int, frame: Any) -> None:
    """Billiard's own, whose SystemExit cannot be told from that of an engine."""
    try:
        _shutdown_cleanup(number, frame)
    except SystemExit as end:
        raise EndOfChild(end.code) from None
