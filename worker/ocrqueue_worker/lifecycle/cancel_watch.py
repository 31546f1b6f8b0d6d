"""Cancelling a job that is deep in an engine's call and does not look up.

A job looks at its cancel flag between steps and pages. One that has not stopped a moment after being asked is in a call
that cannot be interrupted: its child is killed. Celery replaces the child and delivers the job again, and the delivery
finds the flag, ends the job as cancelled and removes what it left in storage.

A job of a group stops between steps only, for its neighbours' sake, unless none of these runs.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.worker.request import Request

from ocrqueue.errors import BrokerUnavailable
from ocrqueue_worker.task.jobs_in_hand import running_jobs
from ocrqueue_worker.task.recognize import RecognizeTask

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.5


class CancelWatch(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep of prefork workers: kills the child of a job that was asked to stop and did not."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.timer: Any = None
        self.asked: set[str] = set()
        self.killed: set[int] = set()

    def include_if(self, parent: Any) -> bool:
        return not parent.app.conf.worker_pool or "prefork" in str(parent.controller.pool_cls)

    def start(self, parent: Any) -> None:
        task: RecognizeTask = parent.app.tasks[RecognizeTask.name]
        self.timer = parent.timer.call_repeatedly(_LOOK_EVERY_S, self._look, (task,), priority=10)

    def stop(self, parent: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def _look(self, task: RecognizeTask) -> None:
        """Kill those that were asked at the last look already."""
        at_work = running_jobs()
        # the system gives the process id of one that is gone to another sooner or later
        self.killed &= {request.worker_pid for request in at_work.values()}
        try:
            asked = set(task.registry.cancel_requested(sorted(at_work)))
        except BrokerUnavailable:
            return
        for job_id in asked & self.asked:
            child = at_work[job_id].worker_pid
            if child and child not in self.killed and not _neighbours_run(task, at_work[job_id], asked):
                self.killed.add(child)
                _log.info("killing the child of a cancelled job", job_id=job_id, child=child)
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self.asked = asked


def _neighbours_run(task: RecognizeTask, request: Request, asked: set[str]) -> bool:
    """Whether a job runs that came in the same message and was not asked to stop."""
    others = [job.id for job in request.jobs if job.id not in asked]
    try:
        return any(status is not None and status.state == "running" for status in task.registry.statuses(others))
    except BrokerUnavailable:
        return True
