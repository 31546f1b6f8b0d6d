"""A caller sees the jobs of its tenant, and no others."""

from __future__ import annotations

from starlette.requests import Request

from ocrqueue.core import JobStatus
from ocrqueue.errors import JobUnknown
from ocrqueue_gateway.access.caller import Caller


async def owned(request: Request, caller: Caller, job_id: str) -> JobStatus:
    """Raises JobUnknown for another tenant's job, too."""
    status: JobStatus = await request.app.state.queue.status(job_id)
    if status.tenant != caller.tenant:
        raise JobUnknown(f"No job {job_id}.")
    return status
