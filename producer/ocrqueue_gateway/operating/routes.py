"""The routes that tell of the installation, and those that pause it in part."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from sse_starlette import EventSourceResponse

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core.audit import AuditEntry
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.core.minute_counts import MOST_MINUTES, MinuteCounts
from ocrqueue.core.pauses import Pause
from ocrqueue.job import is_lane
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import tenant_filter
from ocrqueue_gateway.hardening.json_bodies import described, json_body
from ocrqueue_gateway.jobs.view import JobView
from ocrqueue_gateway.operating.actions import who
from ocrqueue_gateway.operating.live import EVENT, overview_stream
from ocrqueue_gateway.operating.overview import OverviewView, read_overview
from ocrqueue_gateway.operating.views import (
    DeadView,
    EngineView,
    PauseRequest,
    PauseView,
    QueueView,
    TenantView,
    WorkerView,
    tenants_with_shares,
    workers_with,
)
from ocrqueue_gateway.problems import responses

router = APIRouter(tags=["operating"])

Reading = Annotated[Caller, Depends(require("read"))]
Operator = Annotated[Caller, Depends(require("admin", operator=True))]
QueueName = Annotated[
    str,
    Path(
        max_length=80,
        pattern=r"^[a-z0-9][a-z0-9_.-]*$",
        description="An engine, such as tesseract, or one of its lanes, such as ocr.tesseract.high.",
        examples=["tesseract"],
    ),
]
TenantName = Annotated[
    str,
    Path(
        max_length=64,
        pattern=r"^(-|[A-Za-z0-9][A-Za-z0-9_.@-]*)$",
        description="`-`: the jobs that name none.",
        examples=["acme"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000)]
_COMMON: Final = (401, 403, 429, 503)
_REASON: Final = described(PauseRequest, required=False)
Reason = Annotated[PauseRequest, Depends(json_body(PauseRequest, absent=PauseRequest()))]


@router.get("/engines", responses=responses(*_COMMON))
async def engines(request: Request, caller: Reading) -> list[EngineView]:
    """The engines that may be asked for: who reads with them, what waits, how fast."""
    queue: AsyncOcrQueue = request.app.state.queue
    found = await queue.engine_statuses()
    return [EngineView.of(each) for each in found if caller.engines is None or each.name in caller.engines]


@router.get("/queues", responses=responses(*_COMMON))
async def queues(request: Request, caller: Reading) -> list[QueueView]:
    """Each lane of each engine: what waits, and when it should be empty."""
    queue: AsyncOcrQueue = request.app.state.queue
    return [QueueView.of(each, caller) for each in await queue.queues()]


@router.get("/workers", responses=responses(*_COMMON))
async def workers(request: Request, _: Operator) -> list[WorkerView]:
    """The live workers, and what each reads now."""
    queue: AsyncOcrQueue = request.app.state.queue
    return workers_with(await queue.workers(), await queue.reading_now())


@router.get("/tenants", responses=responses(*_COMMON))
async def tenants(request: Request, _: Operator) -> list[TenantView]:
    """Tenants that wait, or have a share, limits or a pause of their own; most that wait first."""
    queue: AsyncOcrQueue = request.app.state.queue
    return tenants_with_shares(await queue.tenants())


@router.get("/counts", responses=responses(422, *_COMMON))
async def counts(
    request: Request,
    _: Operator,
    minutes: Annotated[int, Query(ge=1, le=MOST_MINUTES, description="The last ones.")] = 180,
    step: Annotated[int, Query(ge=1, le=MOST_MINUTES, description="Minutes in a period; no more than `minutes`.")] = 1,
) -> MinuteCounts:
    """How many jobs ended and failed, and how many pages were read, by engine, in the periods of the last hours."""
    queue: AsyncOcrQueue = request.app.state.queue
    return await queue.minute_counts(minutes, step=step)


@router.get("/overview", responses=responses(*_COMMON))
async def overview(request: Request, _: Operator) -> OverviewView:
    """The installation at one moment: what waits, who works, what is paused, how many jobs are in which state."""
    return await read_overview(request.app.state.queue)


@router.get(
    "/overview/events",
    responses={
        **responses(*_COMMON),
        200: {"description": "The events", "content": {"text/event-stream": {"schema": EVENT}}},
    },
    response_class=EventSourceResponse,
)
async def overview_events(request: Request, caller: Operator) -> EventSourceResponse:
    """Server-sent events: `overview`, each an OverviewView, once at first and then whenever it has changed."""
    return overview_stream(request, caller)


@router.get("/dead", responses=responses(422, *_COMMON))
async def dead(
    request: Request,
    caller: Reading,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=2000, description="The `next` of the page before.")] = None,
    code: Annotated[str | None, Query(min_length=1, max_length=256, examples=["engine.failed"])] = None,
) -> DeadView:
    """Jobs that failed for a reason that may pass, to be looked at and replayed: an operator's all, else one's own."""
    queue: AsyncOcrQueue = request.app.state.queue
    tenant = tenant_filter(caller, None)
    page = await queue.dead_letters.page(limit=limit, after=cursor, code=code, tenant=tenant)
    counts = await queue.dead_letters.by_code(code=code, tenant=tenant)
    return DeadView(jobs=tuple(JobView.of(status, caller) for status in page.jobs), next=page.next, by_code=counts)


@router.get("/pauses", responses=responses(*_COMMON))
async def pauses(request: Request, _: Operator) -> list[Pause]:
    """What is paused, since when and why."""
    queue: AsyncOcrQueue = request.app.state.queue
    return await queue.pauses()


@router.post("/queues/{queue}/pause", responses=responses(400, 408, 413, 415, 422, *_COMMON), openapi_extra=_REASON)
async def pause(request: Request, caller: Operator, queue: QueueName, asked: Reason) -> PauseView:
    """Nothing more of an engine or a lane is taken; what was begun ends."""
    client: AsyncOcrQueue = request.app.state.queue
    if is_lane(queue):
        is_new = await client.pause(lane=queue, reason=asked.reason, who=who(caller))
        return PauseView(kind="lane", name=queue, paused=True, changed=is_new)
    is_new = await client.pause(engine=queue, reason=asked.reason, who=who(caller))
    return PauseView(kind="engine", name=queue, paused=True, changed=is_new)


@router.post("/queues/{queue}/resume", responses=responses(422, *_COMMON))
async def resume(request: Request, caller: Operator, queue: QueueName) -> PauseView:
    """It is taken again, in the order of before."""
    client: AsyncOcrQueue = request.app.state.queue
    if is_lane(queue):
        was = await client.resume(lane=queue, who=who(caller))
        return PauseView(kind="lane", name=queue, paused=False, changed=was)
    was = await client.resume(engine=queue, who=who(caller))
    return PauseView(kind="engine", name=queue, paused=False, changed=was)


@router.post("/tenants/{tenant}/pause", responses=responses(400, 408, 413, 415, 422, *_COMMON), openapi_extra=_REASON)
async def pause_tenant(request: Request, caller: Operator, tenant: TenantName, asked: Reason) -> PauseView:
    """Nothing more of a tenant's jobs is taken."""
    client: AsyncOcrQueue = request.app.state.queue
    name = "" if tenant == NO_NAME else tenant
    is_new = await client.pause(tenant=name, reason=asked.reason, who=who(caller))
    return PauseView(kind="tenant", name=name, paused=True, changed=is_new)


@router.post("/tenants/{tenant}/resume", responses=responses(422, *_COMMON))
async def resume_tenant(request: Request, caller: Operator, tenant: TenantName) -> PauseView:
    """A tenant's jobs are taken again."""
    client: AsyncOcrQueue = request.app.state.queue
    name = "" if tenant == NO_NAME else tenant
    was = await client.resume(tenant=name, who=who(caller))
    return PauseView(kind="tenant", name=name, paused=False, changed=was)


@router.get("/audit", responses=responses(422, *_COMMON))
async def audit(request: Request, _: Operator, limit: Limit = 100) -> list[AuditEntry]:
    """What was done to many jobs, to lanes and to workers, by whom: the newest first."""
    queue: AsyncOcrQueue = request.app.state.queue
    return await queue.audit(limit)
