"""The operator's pages: the installation, its jobs, workers and dead letters. What they show, their modules ask the
native API for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from ocrqueue.errors import JobDeleted, JobEnded, JobUnknown, KeyForbidden
from ocrqueue.job import JOB_ID
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.pages.rendering import error_page, page
from ocrqueue_gateway.pages.session import signed_in, to_sign_in

router = APIRouter(prefix="/operate", include_in_schema=False)


@router.get("")
async def overview(request: Request) -> Response:
    """Queues, tenants, what happened in the last hours."""
    return await _page(request, "operate/overview.html")


@router.get("/jobs")
async def jobs(request: Request) -> Response:
    """Jobs by what is known of them, and what is done with many."""
    return await _page(request, "operate/jobs.html")


@router.get("/workers")
async def workers(request: Request) -> Response:
    """Who works, and on what."""
    return await _page(request, "operate/workers.html")


@router.get("/dead")
async def dead(request: Request) -> Response:
    """Dead letters, by their error."""
    return await _page(request, "operate/dead.html")


@router.get("/jobs/{job_id}")
async def job(request: Request, job_id: Annotated[str, Path(pattern=JOB_ID)]) -> Response:
    """One job's history."""
    return await _page(request, "operate/job.html", job_id)


async def _page(request: Request, template: str, job_id: str | None = None) -> Response:
    caller = await signed_in(request)
    if caller is None:
        return to_sign_in(request)
    if not caller.is_operator:
        refused = KeyForbidden(
            "This page is for operators.", remedy="Sign in with a key that has the scope admin and no tenant."
        )
        return error_page(request, caller, refused.info)
    values: dict[str, Any] = {}
    if job_id is not None:
        try:
            values["job"] = await owned(request, caller, job_id)
        except (JobUnknown, JobEnded, JobDeleted) as error:
            return error_page(request, caller, error.info)
    # what a page lets its reader do; the API asks again
    values["scopes"] = sorted(caller.scopes)
    return page(request, template, caller, **values)
