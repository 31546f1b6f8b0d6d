"""The routes below /v1 that tell a caller what it has used, and may."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core.usage import Usage
from ocrqueue.job import TENANT
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import tenant_asked_for
from ocrqueue_gateway.problems import responses

router = APIRouter(tags=["usage"])


class Limits(BaseModel):
    """What a tenant may have; null: as much as it likes."""

    rate: str | None = Field(description="Jobs that are submitted in a time, such as 600/m.")
    waiting: int | None = Field(description="Jobs, and parts of jobs, that wait.")
    pages_a_month: int | None = Field(description="In a calendar month, in UTC; each job at work counts as one.")
    budget_a_month: float | None = Field(description="What these pages may cost, in the installation's currency.")


class UsageView(BaseModel):
    """What was used, the newest period first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "limits": {"rate": "600/m", "waiting": 1000, "pages_a_month": 50000, "budget_a_month": None},
                "usage": [
                    {
                        "tenant": "acme",
                        "period": "2026-02",
                        "jobs": 2041,
                        "pages": 8377,
                        "cpu_s": 9120.7,
                        "bytes": 981276155,
                        "cost": 3.1,
                    }
                ],
            }
        }
    )

    limits: Limits | None = Field(description="Of the tenant; null where the answer is about all.")
    usage: tuple[Usage, ...] = Field(description="Of each period in which something was.")


@router.get("/usage", response_model=UsageView, responses=responses(422, 503))
async def usage(
    request: Request,
    caller: Annotated[Caller, Depends(require("read"))],
    by: Annotated[Literal["day", "month"], Query(description="Periods, in UTC.")] = "month",
    last: Annotated[int, Query(ge=1, le=400, description="How many periods, up to now; 13 months at most.")] = 2,
    tenant: Annotated[
        str | None, Query(pattern=TENANT, description="For operators: whose; absent: all tenants'. Else ignored.")
    ] = None,
) -> UsageView:
    """What the caller's tenant has used: jobs, pages, processor time, bytes and what they cost."""
    queue: AsyncOcrQueue = request.app.state.queue
    whose = tenant_asked_for(caller, tenant)
    found = await queue.usage(whose, by=by, last=last)
    if whose is None:
        return UsageView(limits=None, usage=tuple(found))
    limits = await queue.tenant_limits(whose)
    return UsageView(
        limits=Limits(
            rate=None if limits.rate is None else str(limits.rate),
            waiting=limits.waiting,
            pages_a_month=limits.pages_a_month,
            budget_a_month=limits.budget_a_month,
        ),
        usage=tuple(found),
    )
