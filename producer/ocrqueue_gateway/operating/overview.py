"""The installation at one moment, as one answer: what a page that shows it needs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pydantic import Field

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core.pauses import Pause
from ocrqueue.core.reading_now import StateCounts
from ocrqueue_gateway.access.caller import ANYBODY
from ocrqueue_gateway.operating.views import (
    QueueView,
    TenantView,
    View,
    WorkerView,
    tenants_with_shares,
    workers_with,
)


class OverviewView(View):
    """What waits, who works, what is paused, how many jobs are in which state; for operators."""

    at: datetime = Field(description="When it was read.")
    counts: StateCounts
    queues: tuple[QueueView, ...]
    workers: tuple[WorkerView, ...]
    tenants: tuple[TenantView, ...]
    pauses: tuple[Pause, ...]


async def read_overview(queue: AsyncOcrQueue) -> OverviewView:
    """Some twenty round trips to Redis, however many jobs there are. Raises BrokerUnavailable."""
    counts, lanes, workers, in_hand, tenants, pauses = await asyncio.gather(
        queue.state_counts(), queue.queues(), queue.workers(), queue.reading_now(), queue.tenants(), queue.pauses()
    )
    return OverviewView(
        at=datetime.now(UTC),
        counts=counts,
        queues=tuple(QueueView.of(lane, ANYBODY) for lane in lanes),
        workers=tuple(workers_with(workers, in_hand)),
        tenants=tuple(tenants_with_shares(tenants)),
        pauses=tuple(pauses),
    )
