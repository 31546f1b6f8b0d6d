"""Parts in hand as the message of Celery's that brings them to a child. It never leaves this machine."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from ocrqueue.core import Hold, Taken, TakenPart
from ocrqueue.core.celery_messages import TASK, call_message
from ocrqueue.core.records import stored_job
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.limits.time_limits import group_time_limits

_MARGIN_S: Final = 60.0
"""Above the hard time limit: a child's start, and the end of one that was killed."""


class PartMessage(BaseModel):
    """One part, as the task's argument."""

    model_config = ConfigDict(frozen=True)

    part: str
    token: str
    job: str
    by_name: bool = False
    alone: bool = False
    closing: bool = False
    poison: bool = False
    trace: str | None = None

    @classmethod
    def of(cls, taken: TakenPart) -> PartMessage:
        return cls.model_construct(
            part=taken.hold.part,
            token=taken.hold.token,
            job=taken.job,
            by_name=taken.by_name,
            alone=taken.alone,
            closing=taken.closing,
            poison=taken.poison,
            trace=taken.trace,
        )

    @property
    def hold(self) -> Hold:
        return Hold(self.part, self.token)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """With the closing part that the worker is handed where this is the last page of its job. Heartbeats name both
        from the start, so that none is missed."""
        return (self.hold,) if self.hold.page is None else (self.hold, self.hold.closing)

    def read_job(self) -> Job:
        return stored_job(self.hold.job_id, self.job)


def part_message(taken: Taken, settings: WorkerSettings) -> tuple[dict[str, Any], tuple[Hold, ...], float]:
    """The message, what is in it, and for how many seconds it can take at most."""
    parts = [PartMessage.of(part) for part in taken.parts]
    task_id = parts[0].part if len(parts) == 1 else f"batch-{uuid.uuid4()}"
    kwargs = {"parts": [part.model_dump(exclude_defaults=True) for part in parts]}
    limits = group_time_limits(settings, [part.read_job() for part in parts])
    envelope = call_message(TASK, task_id, taken.lane, time_limits_s=(limits.hard_s, limits.soft_s))
    longest_s = limits.hard_s + settings.shutdown_grace_s + settings.engine_load_timeout_s + _MARGIN_S
    message = {"body": json.dumps([[], kwargs, {}]), **envelope}
    return message, tuple(hold for part in parts for hold in part.holds), longest_s
