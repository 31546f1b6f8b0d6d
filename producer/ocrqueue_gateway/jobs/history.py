"""What a job has been through: attempts, engines, ends before a replay, and who was told of its end."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from ocrqueue.aio import AsyncOcrQueue, keys_of, redis_of
from ocrqueue.core import JobStatus, Outcome
from ocrqueue.core.attempts import Attempt
from ocrqueue.document import Timings
from ocrqueue.errors import ErrorInfo
from ocrqueue.job.route import Step
from ocrqueue.webhooks.notices import Notice, aio_notices_of
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.jobs.view import JobView, trail_for


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class AttemptView(View):
    """One attempt at the job, or at a page of it."""

    became: str = Field(
        description="retried; given back (its worker stopped); lost (its worker did not answer); sent on (to the next "
        "engine); replayed (the last one before a replay); running; or the state in which the job or page has ended."
    )
    number: int | None = Field(description="From 1; it begins again with a replay.")
    page: int | None = Field(description="Of a document whose pages are read apart; null: all of it.")
    engine: str | None
    worker: str | None = Field(description="For operators: its name.")
    started_at: datetime | None
    ended_at: datetime | None
    error: ErrorInfo | None

    @classmethod
    def of(cls, attempt: Attempt, caller: Caller) -> Self:
        told = attempt.model_copy(
            update={} if caller.is_operator else {"worker": None, "error": caller.told(attempt.error)}
        )
        return cls(**{name: getattr(told, name) for name in cls.model_fields})


class EndView(View):
    """How the job had ended before it was replayed."""

    state: Literal["succeeded", "partial", "failed", "cancelled"]
    pages: int
    words: int
    mean_confidence: float | None
    trail: tuple[Step, ...]
    timings: Timings
    error: ErrorInfo | None

    @classmethod
    def of(cls, outcome: Outcome, caller: Caller) -> Self:
        own = {name: getattr(outcome, name) for name in cls.model_fields}
        return cls(**own | {"error": caller.told(outcome.error), "trail": trail_for(caller, outcome.trail)})


class DeliveryAttempt(View):
    """One attempt to tell a webhook."""

    at: datetime
    became: Literal["delivered", "retry", "failed", "off"]
    status: int | None = Field(description="Of its answer; null: there was none.")
    error: str | None
    took_s: float | None


class DeliveryView(View):
    """What a webhook is told of one end of the job."""

    id: str = Field(description="The header `webhook-id` of each attempt.")
    url: str = Field(description="Without its query.")
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    made_at: datetime | None
    ended_at: datetime | None
    log: tuple[DeliveryAttempt, ...] = Field(description="The newest 32 attempts, the oldest first.")

    @classmethod
    def of(cls, notice: Notice) -> Self:
        log = tuple(DeliveryAttempt(**told.model_dump()) for told in notice.log)
        return cls(log=log, **{name: getattr(notice, name) for name in cls.model_fields if name != "log"})


class HistoryView(View):
    """A job, and what it has been through."""

    job: JobView
    queue: str = Field(description="The lane that it waits in, or waited in.")
    engines: tuple[str, ...] = Field(description="That may read it, in order.")
    engines_reason: str | None = Field(description="Why these; null: the job has named one.")
    worker: str | None = Field(description="For operators: the name of the newest one.")
    attempts: tuple[AttemptView, ...] = Field(description="In order: the newest 32, and as many of pages.")
    ends: tuple[EndView, ...] = Field(description="Before each replay, the oldest first; the newest 20.")
    deliveries: tuple[DeliveryView, ...] = Field(description="To webhooks; those of long ago have expired.")


async def history_of(queue: AsyncOcrQueue, status: JobStatus, caller: Caller) -> HistoryView:
    """Raises JobUnknown, JobEnded where it has gone meanwhile."""
    place = await queue.place(status.id) if status.state == "queued" else None
    attempts = await queue.job(status.id).history()
    notices = await aio_notices_of(redis_of(queue), keys_of(queue), status.id)
    return HistoryView(
        job=JobView.of(status, caller, place),
        queue=status.queue,
        engines=status.route.engines if status.route else (status.engine,),
        engines_reason=status.route.reason if status.route else None,
        worker=status.worker if caller.is_operator else None,
        attempts=tuple(AttemptView.of(attempt, caller) for attempt in attempts),
        ends=tuple(EndView.of(outcome, caller) for outcome in status.history),
        deliveries=tuple(map(DeliveryView.of, notices)),
    )
