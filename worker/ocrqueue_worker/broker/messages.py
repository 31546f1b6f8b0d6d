"""Parts in hand as the message of Celery's that brings them to a child. It never leaves this machine."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ocrqueue.core import Hold, Taken, TakenPart
from ocrqueue.core.celery_messages import TASK, call_message
from ocrqueue.core.records import stored_job
from ocrqueue.job import Job
from ocrqueue.job.route import EngineName
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.limits.time_limits import Timed, group_time_limits

_MARGIN_S: Final = 60.0
"""Above the hard time limit: a child's start, and the end of one that was killed."""
_TRAITS: Final = ("by_name", "alone", "closing", "poison", "trace")


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

    @property
    def hold(self) -> Hold:
        return Hold(self.part, self.token)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """With the closing part that the worker is handed where this is the last page of its job. Heartbeats name both
        from the start, so that none is missed."""
        return with_closing(self.hold)

    def read_job(self) -> Job:
        return stored_job(self.hold.job_id, self.job)


class _Timed(BaseModel):
    """Of a job what the time limits go by: the main process reads no more of it."""

    engine: EngineName = Job.model_fields["engine"].default
    time_limit_s: Annotated[int, Field(ge=1, le=86_400)] | None = None


def part_message(taken: Taken, settings: WorkerSettings) -> tuple[dict[str, Any], tuple[Hold, ...], float]:
    """The message, what is in it, and for how many seconds it can take at most."""
    parts = taken.parts
    task_id = parts[0].hold.part if len(parts) == 1 else f"batch-{uuid.uuid4()}"
    kwargs = {"parts": [as_argument(part) for part in parts]}
    limits = group_time_limits(settings, [_timed(part) for part in parts])
    envelope = call_message(TASK, task_id, taken.lane, time_limits_s=(limits.hard_s, limits.soft_s))
    longest_s = limits.hard_s + settings.shutdown_grace_s + settings.engine_load_timeout_s + _MARGIN_S
    message = {"body": json.dumps([[], kwargs, {}]), **envelope}
    return message, tuple(hold for part in parts for hold in with_closing(part.hold)), longest_s


def with_closing(hold: Hold) -> tuple[Hold, ...]:
    return (hold,) if hold.page is None else (hold, hold.closing)


def as_argument(taken: TakenPart) -> dict[str, Any]:
    """A PartMessage as JSON has it."""
    argument: dict[str, Any] = {"part": taken.hold.part, "token": taken.hold.token, "job": taken.job}
    for trait in _TRAITS:
        if value := getattr(taken, trait):
            argument[trait] = value
    return argument


def _timed(taken: TakenPart) -> Timed:
    try:
        return _Timed.model_validate_json(taken.job)
    except ValidationError:
        return stored_job(taken.hold.job_id, taken.job)
