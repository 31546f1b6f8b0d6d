"""The routes below /v1/jobs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import JSONResponse

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.job import JOB_ID
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.hardening.bodies import read_json
from ocrqueue_gateway.jobs.request import JobRequest, checked_reference, fields_of, parse_request
from ocrqueue_gateway.jobs.results import ResultFormat, result_response
from ocrqueue_gateway.jobs.view import JobView
from ocrqueue_gateway.problems import responses

router = APIRouter(tags=["jobs"])

JobId = Annotated[str, Path(pattern=JOB_ID, description="As POST /v1/jobs has returned it.")]
Submitting = Annotated[Caller, Depends(require("submit"))]
Reading = Annotated[Caller, Depends(require("read"))]


@router.post("/jobs", status_code=202, response_model=JobView, responses=responses(413, 415, 422, 503))
async def submit(request: Request, caller: Submitting) -> Response:
    """Submit one image or document."""
    queue: AsyncOcrQueue = request.app.state.queue
    asked: Any = parse_request(await read_json(request), JobRequest)
    image = checked_reference(asked.image, queue.storage)
    job = await queue.submit(image, **fields_of(asked, caller))
    view = JobView.of(await job.status())
    return JSONResponse(view.model_dump(mode="json"), 202, headers={"location": view.links.self, "retry-after": "1"})


@router.get("/jobs/{job_id}", response_model=JobView, responses=responses(404, 410, 422, 503))
async def job(request: Request, caller: Reading, job_id: JobId) -> JobView:
    """The job now."""
    return JobView.of(await owned(request, caller, job_id))


@router.get("/jobs/{job_id}/result", responses=responses(404, 409, 410, 422, 503))
async def result(
    request: Request,
    caller: Reading,
    job_id: JobId,
    format: Annotated[ResultFormat, Query()] = "json",  # noqa: A002  # the parameter's name
) -> Response:
    """What was read, in any format."""
    return await result_response(request.app.state.queue, await owned(request, caller, job_id), format)
