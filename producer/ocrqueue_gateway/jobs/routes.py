"""The routes below /v1/jobs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import StringConstraints
from starlette.responses import JSONResponse

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core.records import State
from ocrqueue.job import JOB_ID
from ocrqueue.job.names import OutputFormat
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import may_replay, owned, tenant_filter
from ocrqueue_gateway.jobs.events import event_stream
from ocrqueue_gateway.jobs.history import HistoryView, history_of
from ocrqueue_gateway.jobs.moments import Moment
from ocrqueue_gateway.jobs.openapi import EVENTS, FILES, PAGE, PNG, RESULTS, SUBMISSION
from ocrqueue_gateway.jobs.results import (
    check_result,
    crop_of,
    document_of,
    output_response,
    overlay_of,
    result_response,
)
from ocrqueue_gateway.jobs.submitting import submit as submit_received
from ocrqueue_gateway.jobs.view import JobList, JobView, PagesView
from ocrqueue_gateway.jobs.waiting import wait_for_end
from ocrqueue_gateway.problems import responses

router = APIRouter(tags=["jobs"])


JobId = Annotated[str, Path(pattern=JOB_ID, description="As POST /v1/jobs has returned it.")]
Submitting = Annotated[Caller, Depends(require("submit"))]
Reading = Annotated[Caller, Depends(require("read"))]
Cancelling = Annotated[Caller, Depends(require("cancel"))]
PageNumber = Annotated[int, Path(ge=1, le=1_000_000, description="Pages count from 1.")]
OnePage = Annotated[int | None, Query(ge=1, le=1_000_000, description="This page only.")]
Wait = Annotated[
    float,
    Query(ge=0, le=86_400, description="Seconds to wait for its end, at most; the gateway has a limit of its own."),
]
OfTenant = Annotated[
    str | None,
    Query(
        pattern=r"^(-|[A-Za-z0-9][A-Za-z0-9_.@-]{0,63})$",
        description="For operators: whose; `-`: of jobs that name none; absent: all. Else it says nothing.",
    ),
]
_COMMON: Final = (401, 403, 429, 503)
_OF_ONE: Final = (404, 410, 422, *_COMMON)


@router.post("/jobs", status_code=202, response_model=JobView, **SUBMISSION)
async def submit(
    request: Request,
    caller: Submitting,
    result_format: Annotated[
        OutputFormat, Query(alias="format", description="Of the result, with `wait` or `Prefer: wait`.")
    ] = "json",
    wait: Annotated[
        float,
        Query(ge=0, le=86_400, description="Seconds to wait for the result, at most; `Prefer` goes before it."),
    ] = 0,
) -> Response:
    """Submit one image or document: a reference to it, a form with it, or its bytes.

    With `?wait=N` or `Prefer: wait=N` the answer is the result, if it is there within N seconds.
    """
    return await submit_received(request, caller, result_format, wait)


@router.get("/jobs", responses=responses(422, *_COMMON))
async def jobs(  # noqa: PLR0913, PLR0917  # each is a parameter of the query
    request: Request,
    caller: Reading,
    state: Annotated[list[State] | None, Query(max_length=8, description="One of these.")] = None,
    tag: Annotated[str | None, Query(max_length=256)] = None,
    batch: Annotated[str | None, Query(max_length=128)] = None,
    code: Annotated[str | None, Query(min_length=1, max_length=256, description="The error's; of failed jobs.")] = None,
    since: Annotated[Moment | None, Query(description="Submitted since then, or ended since then.")] = None,
    tenant: OfTenant = None,
    id: Annotated[  # noqa: A002  # the parameter's name
        list[Annotated[str, StringConstraints(pattern=JOB_ID)]] | None,
        Query(max_length=100, description="These, in this order, without those unknown; all else is ignored."),
    ] = None,
    cursor: Annotated[str | None, Query(max_length=1000, description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JobList:
    """The caller's jobs: those at work, then those that have ended; each the newest first."""
    queue: AsyncOcrQueue = request.app.state.queue
    if id:
        named = await queue.statuses(id)
        seen = [status for status in named if status is not None and caller.sees(status.tenant)]
        return JobList(jobs=tuple(JobView.of(status, caller) for status in seen))
    whose = tenant_filter(caller, tenant)
    wanted: dict[str, Any] = {"tag": tag, "batch": batch, "code": code, "since": since, "tenant": whose}
    if state:
        wanted["state"] = state
    page = await queue.jobs(limit=limit, after=cursor, **wanted)
    return JobList(jobs=tuple(JobView.of(status, caller) for status in page.jobs), next=page.next)


@router.get("/jobs/{job_id}", responses=responses(*_OF_ONE))
async def job(request: Request, caller: Reading, job_id: JobId, wait: Wait = 0) -> JobView:
    """The job: now, or once it has ended."""
    status = await owned(request, caller, job_id)
    status = await wait_for_end(request, status, min(wait, request.app.state.settings.max_wait_s))
    place = await request.app.state.queue.place(job_id) if status.state == "queued" else None
    return JobView.of(status, caller, place)


@router.get("/jobs/{job_id}/history", responses=responses(*_OF_ONE))
async def history(request: Request, caller: Reading, job_id: JobId) -> HistoryView:
    """What it has been through: attempts, engines, ends before a replay, and what webhooks were told."""
    status = await owned(request, caller, job_id)
    return await history_of(request.app.state.queue, status, caller)


@router.post("/jobs/{job_id}/replay", status_code=202, responses=responses(409, *_OF_ONE))
async def replay(request: Request, caller: Cancelling, job_id: JobId) -> JobView:
    """Queue a job that has failed again, under its id. It needs the scope submit as well."""
    may_replay(caller)
    await owned(request, caller, job_id)
    queue: AsyncOcrQueue = request.app.state.queue
    await queue.replay(job_id)
    return JobView.of(await queue.status(job_id), caller)


@router.delete(
    "/jobs/{job_id}",
    responses={
        **responses(*_OF_ONE),
        202: {"model": JobView, "description": "It runs, and stops at its next step"},
        204: {"description": "It is deleted"},
    },
)
async def cancel(
    request: Request,
    caller: Cancelling,
    job_id: JobId,
    purge: Annotated[
        bool, Query(description="Delete it, with what was read and the image if no other job has it.")
    ] = False,
) -> JobView:
    """Cancel the job: it is not read if it waits, and stops if it runs. One that has ended stays as it is."""
    queue: AsyncOcrQueue = request.app.state.queue
    await owned(request, caller, job_id)
    if purge and await queue.delete(job_id, who=caller.key_id or "gateway"):
        return Response(status_code=204)  # type: ignore[return-value]  # FastAPI hands it on as it is
    if not purge:
        await queue.cancel(job_id)
    view = JobView.of(await queue.status(job_id), caller)
    if view.state == "running":
        return JSONResponse(view.model_dump(mode="json"), 202)  # type: ignore[return-value]  # the same
    return view


@router.get("/jobs/{job_id}/result", **RESULTS)
async def result(
    request: Request,
    caller: Reading,
    job_id: JobId,
    format: Annotated[OutputFormat, Query()] = "json",  # noqa: A002  # the parameter's name
    page: OnePage = None,
    wait: Wait = 0,
) -> Response:
    """What was read, in any format.

    What shows the page (pdf, overlay-pdf, overlay-html) is made of the file that was read, if that was sent; or is
    there because the job asked for it with `outputs`.
    """
    status = await owned(request, caller, job_id)
    status = await wait_for_end(request, status, min(wait, request.app.state.settings.max_wait_s))
    return await result_response(request, status, format, page)


@router.get("/jobs/{job_id}/outputs/{format}", **FILES)
async def output(
    request: Request,
    caller: Reading,
    job_id: JobId,
    format: OutputFormat,  # noqa: A002  # the parameter's name
    page: OnePage = None,
) -> Response:
    """A file that the job has stored, as it was asked to with `outputs`."""
    status = await owned(request, caller, job_id)
    document = await document_of(request.app.state.queue, status)
    return await output_response(request, status, document, format, page)


@router.get("/jobs/{job_id}/pages", responses=responses(409, *_OF_ONE))
async def pages(request: Request, caller: Reading, job_id: JobId) -> PagesView:
    """Which pages can be had now: of a PDF each as soon as it is read."""
    status = await owned(request, caller, job_id)
    if status.finished:
        check_result(status)
    return PagesView(read=await request.app.state.queue.pages_read(job_id), pages=status.pages)


@router.get("/jobs/{job_id}/pages/{number}", **PAGE)
async def page(request: Request, caller: Reading, job_id: JobId, number: PageNumber) -> Response:
    """One page, as soon as it is read."""
    status = await owned(request, caller, job_id)
    if status.finished:
        check_result(status)
    found = await request.app.state.queue.page(job_id, number)
    return Response(await asyncio.to_thread(found.model_dump_json), media_type="application/json")


@router.get("/jobs/{job_id}/crops/{word}", **PNG)
async def crop(
    request: Request, caller: Reading, job_id: JobId, word: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,32}$")]
) -> Response:
    """The picture of one word."""
    document = await document_of(request.app.state.queue, await owned(request, caller, job_id))
    return Response(await asyncio.to_thread(crop_of, document, word), media_type="image/png")


@router.get("/jobs/{job_id}/overlay", **PNG)
async def overlay(
    request: Request, caller: Reading, job_id: JobId, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
) -> Response:
    """A page with its words marked, and beside it what was read; of an image that was sent.

    Of a PDF there is `result?format=overlay-pdf`.
    """
    document = await document_of(request.app.state.queue, await owned(request, caller, job_id))
    return Response(await overlay_of(request.app.state.renderer, document, page), media_type="image/png")


@router.get("/jobs/{job_id}/events", **EVENTS)
async def events(
    request: Request,
    caller: Reading,
    job_id: JobId,
    last_event_id: Annotated[str | None, Header(max_length=200, description="Of a client that comes again.")] = None,
) -> Response:
    """Server-sent events: `state` at each step, `place` in the queue, and `end`; then the stream ends."""
    return event_stream(request, caller, await owned(request, caller, job_id))
