"""Celery's remote control, as it fits jobs: what would harm them is no command here, and a revoke is a cancel.

Its commands are one table a process, in which the last entry of a name counts.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

import structlog
from celery.utils.functional import maybe_list
from celery.worker import control

from ocrqueue.core import WorkerRegistry
from ocrqueue.job import JOB_ID, is_lane
from ocrqueue_worker.lifecycle.shutdown import SHUTDOWN
from ocrqueue_worker.task.settlement import Settlement

_log = structlog.get_logger(__name__)

_REVOCATIONS: Final = Settlement()
"""Beside the settling of parts, which is not to wait for a long list."""
_NONE_OF_OURS: Final = ("rate_limit", "revoke_by_stamped_headers")
"""A rate limit would keep parts in this worker's hand, where nobody else may have them, and no child gets them. Stamps
of a message are not looked at."""


def fit_remote_control() -> None:
    """For this process."""
    for name in _NONE_OF_OURS:
        control.Panel.data.pop(name, None)
        control.Panel.meta.pop(name, None)
    control.Panel.data["add_consumer"] = _add_consumer
    control.Panel.data["revoke"] = _revoke
    control.Panel.data["terminate"] = _terminate
    control.Panel.data["shutdown"] = _shutdown


def _add_consumer(state: Any, queue: Any, *arguments: Any, **options: Any) -> Any:
    if not isinstance(queue, str) or not is_lane(queue):
        _log.warning("does not take from a queue that is no engine's lane", queue=str(queue)[:100])
        return control.nok("no lane of an engine: ocr.ENGINE, ocr.ENGINE.high or ocr.ENGINE.low")
    started_for = state.consumer.controller.ocrqueue_offers.names
    if (engine := queue.split(".")[1]) not in started_for:
        # it has not been loaded, looked at, or announced
        _log.warning("does not take for an engine that it was not started for", queue=queue)
        return control.nok(f"not started for {engine[:40]}, but for {', '.join(started_for)}: start a worker for it")
    return control.add_consumer(state, queue, *arguments, **options)


def _revoke(state: Any, task_id: Any, *_: Any, **__: Any) -> Any:
    """Cancel jobs, wherever they are: who kills what does not stop is the worker that has it.

    Celery would note their ids in this worker alone, and throw them away each time that it takes them. Every worker
    that hears this asks for the same, and the first is heard.
    """
    asked = {job_id for job_id in maybe_list(task_id) or [] if isinstance(job_id, str)}
    # a broker may carry other apps' tasks too
    job_ids = sorted(job_id for job_id in asked if re.fullmatch(JOB_ID, job_id))
    heartbeat = state.consumer.controller.ocrqueue_heartbeat
    _REVOCATIONS.ask(partial(_cancel, job_ids, heartbeat.look_for_messages), ())
    return control.ok(f"jobs are to be cancelled: {', '.join(job_ids)[:1000]}")


def _terminate(state: Any, signal: Any, task_id: Any, **_: Any) -> Any:
    return _revoke(state, task_id)


def _cancel(job_ids: list[str], look_for_messages: Any, registry: WorkerRegistry) -> None:
    found = {job_id: registry.revoke(job_id) for job_id in job_ids}
    if None in found.values():
        # their messages may wait to be taken in
        look_for_messages()
    _log.info(
        "revoked jobs are to be cancelled", jobs={job_id: state or "not known yet" for job_id, state in found.items()}
    )


def _shutdown(state: Any, msg: str = "", **_: Any) -> Any:
    """Celery's warm shutdown would stop the heartbeat before the jobs have ended."""
    SHUTDOWN.begin()
    return control.ok("drains")
