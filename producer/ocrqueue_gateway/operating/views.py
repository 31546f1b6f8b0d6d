"""The installation as callers are told of it: an operator all, others what is theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

from ocrqueue.core import QueueInfo, Trouble, WorkerInfo
from ocrqueue.core.limits import TenantLimits
from ocrqueue.core.pauses import PauseKind
from ocrqueue.core.reading_now import PartInHand
from ocrqueue.core.tenants import TenantInfo
from ocrqueue.job.names import Priority
from ocrqueue.routing import EngineStatus
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.jobs.view import JobView

_MOST_READING: Final = 100
_EARLIEST: Final = datetime.fromtimestamp(0, UTC)


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class EngineView(View):
    """An engine, and what it can be asked for now."""

    name: str
    takes_jobs: bool = Field(description="Whether a live worker reads with it, and it is not paused.")
    workers: int = Field(description="Those alive.")
    languages: tuple[str, ...] = Field(description="That any of them reads.")
    waiting: Mapping[Priority, int] = Field(description="Parts of jobs that no worker has taken, by lane.")
    paused: bool
    jobs_per_minute: float | None = Field(description="In the last minutes; null: none has ended.")
    pages_per_minute: float | None

    @classmethod
    def of(cls, engine: EngineStatus) -> Self:
        languages = {name for offer in engine.offers for name in offer.languages}
        return cls(
            name=engine.name,
            takes_jobs=engine.takes_jobs and not engine.paused,
            workers=len(engine.workers),
            languages=tuple(sorted(languages)),
            waiting=engine.waiting,
            paused=engine.paused,
            jobs_per_minute=engine.jobs_per_minute,
            pages_per_minute=engine.pages_per_minute,
        )


class QueueView(View):
    """One lane of an engine."""

    name: str
    engine: str
    lane: Priority
    waiting: int = Field(description="Parts of jobs, mostly one a job, that no worker has taken.")
    own: int = Field(description="How many of them are the caller's tenant's.")
    paused: bool
    workers: int
    limit: int | None = Field(description="How many may wait in the engine's lanes together; null: any number.")
    oldest_wait_s: float | None
    jobs_per_minute: float | None
    empty_in_s: float | None = Field(description="When it should be empty at that rate.")
    tenants: Mapping[str, int] | None = Field(default=None, description="For operators: what waits, by tenant.")
    paused_tenants: tuple[str, ...] | None = Field(default=None, description="For operators.")
    oldest_job: str | None = Field(default=None, description="For operators.")

    @classmethod
    def of(cls, queue: QueueInfo, caller: Caller) -> Self:
        is_operator = caller.is_operator
        return cls(
            name=queue.name,
            engine=queue.engine,
            lane=queue.lane,
            waiting=queue.waiting,
            own=queue.tenants.get(caller.tenant, 0),
            paused=queue.paused,
            workers=queue.workers,
            limit=queue.limit,
            oldest_wait_s=queue.oldest_wait_s,
            jobs_per_minute=queue.jobs_per_minute,
            empty_in_s=queue.empty_in_s,
            tenants=queue.tenants if is_operator else None,
            paused_tenants=queue.paused_tenants if is_operator else None,
            oldest_job=queue.oldest_job if is_operator else None,
        )


class ReadingView(View):
    """A job, or a page of one, that a worker has in hand."""

    job: str
    page: int | None = Field(description="Of a document whose pages are read apart; null: all of it.")
    engine: str
    tenant: str
    begun_at: datetime | None = Field(description="null: taken, and not begun.")
    attempt: int
    pages_done: int
    pages: int | None


class WorkerView(View):
    """A live worker, for operators."""

    name: str
    engines: tuple[str, ...]
    queues: tuple[str, ...]
    concurrency: int
    running: int | None = Field(description="Jobs that it works on.")
    doing: str = Field(description="working, idle, draining or stopped.")
    memory_bytes: int | None
    started_at: datetime
    seen_at: datetime
    troubles: tuple[Trouble, ...]
    reading: tuple[ReadingView, ...] = Field(description="What it has in hand, the longest first; 100 at most.")

    @classmethod
    def of(cls, worker: WorkerInfo, in_hand: Sequence[PartInHand] = ()) -> Self:
        return cls(
            name=worker.name,
            engines=tuple(offer.name for offer in worker.engines),
            queues=worker.queues,
            concurrency=worker.concurrency,
            running=worker.running,
            doing=worker.doing,
            memory_bytes=worker.memory_bytes,
            started_at=worker.started_at,
            seen_at=datetime.fromtimestamp(worker.seen_at, UTC),
            troubles=worker.troubles,
            reading=tuple(map(_reading, _longest_first(in_hand)[:_MOST_READING])),
        )


def workers_with(workers: Sequence[WorkerInfo], in_hand: Sequence[PartInHand]) -> list[WorkerView]:
    """Each with what it has in hand."""
    of_holder: dict[str, list[PartInHand]] = {}
    for part in in_hand:
        of_holder.setdefault(part.holder, []).append(part)
    return [WorkerView.of(worker, of_holder.get(worker.holder, [])) for worker in workers]


def _longest_first(parts: Sequence[PartInHand]) -> list[PartInHand]:
    return sorted(parts, key=lambda part: (part.begun_at is None, part.begun_at or _EARLIEST, part.job))


def _reading(part: PartInHand) -> ReadingView:
    return ReadingView(**{name: getattr(part, name) for name in ReadingView.model_fields})


class TenantView(View):
    """A tenant that waits, or has a share, limits or a pause of its own; for operators."""

    name: str = Field(description="Empty: the jobs that name none.")
    weight: float = Field(description="Its share of a lane, against the others that wait there.")
    share: float | None = Field(description="Of what is taken now, from 0 to 1; null: nothing of it waits to be taken.")
    waiting: Mapping[str, int] = Field(description="Parts of jobs, mostly one a job, by lane.")
    paused: bool
    limits: TenantLimits

    @classmethod
    def of(cls, tenant: TenantInfo, weight_of_all: float) -> Self:
        takes_turns = sum(tenant.waiting.values()) > 0 and not tenant.paused
        share = tenant.weight / weight_of_all if takes_turns else None
        return cls(share=share, **{name: getattr(tenant, name) for name in cls.model_fields if name != "share"})


def tenants_with_shares(tenants: Sequence[TenantInfo]) -> list[TenantView]:
    """What each is given where all of them wait in one lane."""
    takes_turns = [each for each in tenants if sum(each.waiting.values()) and not each.paused]
    weight_of_all = sum(each.weight for each in takes_turns)
    return [TenantView.of(each, weight_of_all) for each in tenants]


class DeadView(View):
    """Jobs that failed for a reason that may pass: a page of them, the newest first."""

    jobs: tuple[JobView, ...]
    next: str | None = Field(description="The cursor of the next page; null: these were the last.")
    by_code: Mapping[str, int] = Field(
        description="How many there are of each error, the most frequent first; of the newest 10,000."
    )


class PauseRequest(View):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"example": {"reason": "new model"}})

    reason: str = Field(default="", max_length=1000, description="For those who wonder; 200 characters are kept.")


class PauseView(View):
    """What was paused or resumed."""

    kind: PauseKind
    name: str
    paused: bool = Field(description="Whether it is now.")
    changed: bool = Field(description="Whether it was not before.")
