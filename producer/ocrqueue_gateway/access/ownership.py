"""A caller sees the jobs of its tenant, and no others: those are to it as if they had never been."""

from __future__ import annotations

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.errors import JobEnded, JobUnknown, KeyForbidden
from ocrqueue_gateway.access.caller import Caller


async def owned(request: Request, caller: Caller, job_id: str) -> JobStatus:
    """Raises JobUnknown for another tenant's job, too; JobEnded and JobDeleted of the caller's own."""
    queue: AsyncOcrQueue = request.app.state.queue
    try:
        status = await queue.status(job_id)
    except JobEnded:
        # whose it was is remembered of jobs that had a tenant
        if caller.is_operator or (caller.tenant and await queue.ended_of_tenant(job_id, caller.tenant)):
            raise
        raise _unknown(job_id) from None
    if not caller.sees(status.tenant):
        raise _unknown(job_id)
    return status


def tenant_asked_for(caller: Caller, tenant: str | None) -> str | None:
    """Whose jobs a list or an action is about: the caller's; an operator may name any, and means all (None) else."""
    return tenant if caller.is_operator else caller.tenant


def tenant_filter(caller: Caller, tenant: str | None) -> str | None:
    """The same for filters of jobs, in which `-` are those without a tenant."""
    return tenant if caller.is_operator else caller.tenant or NO_NAME


def may_replay(caller: Caller) -> None:
    """To replay a job has it read, as a submission has. Raises KeyForbidden."""
    if "submit" not in caller.scopes:
        raise KeyForbidden("To replay jobs a key needs the scope submit.", scope="submit")


def _unknown(job_id: str) -> JobUnknown:
    return JobUnknown(f"No job {job_id}.")
