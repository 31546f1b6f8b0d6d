"""The reader's pages: where files are dropped, and where a job's document is read. What they show, their modules ask
the native API for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from ocrqueue.errors import JobDeleted, JobEnded, JobUnknown, KeyForbidden
from ocrqueue.job import JOB_ID
from ocrqueue_gateway.access.authentication import check_scope
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.pages import security_policy, session, static_files
from ocrqueue_gateway.pages.reading.routes import router as reading
from ocrqueue_gateway.pages.rendering import error_page, page
from ocrqueue_gateway.pages.session import signed_in, to_sign_in

router = APIRouter(include_in_schema=False)
router.include_router(static_files.router)
router.include_router(security_policy.router)
router.include_router(session.router)
router.include_router(reading)


@router.get("/")
async def home(request: Request) -> Response:
    """Files are dropped here, and the latest jobs listed."""
    caller = await signed_in(request)
    if caller is None:
        return to_sign_in(request)
    return page(request, "home.html", caller)


@router.get("/jobs/{job_id}")
async def viewer(request: Request, job_id: Annotated[str, Path(pattern=JOB_ID)]) -> Response:
    """One job's document."""
    caller = await signed_in(request)
    if caller is None:
        return to_sign_in(request)
    try:
        check_scope(caller, "read")
        status = await owned(request, caller, job_id)
    except (JobUnknown, JobEnded, JobDeleted, KeyForbidden) as error:
        return error_page(request, caller, error.info)
    return page(request, "viewer.html", caller, job=status)
