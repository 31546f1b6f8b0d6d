"""Actions on many jobs: asked for here, done by whichever replica has time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from starlette.responses import JSONResponse

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core.actions import ActionStatus, Requested
from ocrqueue.core.job_filter import MOST_IDS, NO_NAME
from ocrqueue.errors import ActionUnknown, ErrorInfo, FilterInvalid, FilterMissing
from ocrqueue.job import JOB_ID
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import may_replay
from ocrqueue_gateway.hardening.json_bodies import described, json_body
from ocrqueue_gateway.jobs.moments import Moment
from ocrqueue_gateway.operating.carrying_out import wake
from ocrqueue_gateway.problems import responses

router = APIRouter(tags=["operating"])

Cancelling = Annotated[Caller, Depends(require("cancel"))]
Reading = Annotated[Caller, Depends(require("read"))]
ActionId = Annotated[str, Path(pattern=r"^\d{16}-[0-9a-f]{8}$", description="As POST /v1/actions has returned it.")]
_COMMON: Final = (401, 403, 429, 503)
JobName = Annotated[str, StringConstraints(pattern=JOB_ID)]
Known = Literal["queued", "running", "succeeded", "partial", "failed", "cancelled"]


class ActionFilter(BaseModel):
    """Which jobs: all holds that is given. Jobs that are submitted later are not meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Known | list[Known] | None = Field(default=None, description="One, or one of these.")
    tag: str | None = Field(default=None, min_length=1, max_length=256)
    batch: str | None = Field(default=None, min_length=1, max_length=256)
    code: str | None = Field(default=None, min_length=1, max_length=256, description="The error's, of failed jobs.")
    since: Moment | None = Field(default=None, description="Submitted, or ended, since then.")
    ids: list[JobName] | None = Field(
        default=None, min_length=1, max_length=MOST_IDS, description="One of these; unknown ones are left out."
    )
    tenant: str | None = Field(
        default=None, min_length=1, max_length=64, description="For operators: whose; `-`: of jobs that name none."
    )


class ActionRequest(BaseModel):
    """What is to be done with which jobs."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "example": {"action": "replay", "filter": {"tag": "invoices", "code": "engine.failed"}, "dry_run": True}
        },
    )

    action: Requested = Field(description="cancel: those at work; replay: those that failed; delete: with all files.")
    filter: ActionFilter = ActionFilter()
    all_jobs: bool = Field(default=False, description="To be said where the filter names none.")
    dry_run: bool = Field(default=False, description="Only count: `matched`.")


class ActionView(BaseModel):
    """An action, and how far it is."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                "id": "1795984044436117-72fe132d",
                "action": "cancel",
                "filter": {"tag": "invoices"},
                "dry_run": False,
                "state": "running",
                "matched": 5000,
                "jobs": 1240,
                "still_running": 0,
                "left_in_storage": 0,
                "created_at": "2026-01-05T09:00:00Z",
            }
        },
    )

    id: str
    action: Requested
    filter: Mapping[str, JsonValue]
    dry_run: bool
    state: Literal["queued", "running", "done", "failed"]
    matched: int | None = Field(default=None, description="How many jobs it is about; null: not counted yet.")
    jobs: int = Field(description="How many it has changed so far.")
    still_running: int = Field(description="Of a deletion: jobs that have not stopped in time; ask again.")
    left_in_storage: int = Field(description="Of a deletion: jobs whose files a worker removes in a while.")
    error: ErrorInfo | None = None
    created_at: datetime
    ended_at: datetime | None = None

    @classmethod
    def of(cls, status: ActionStatus, caller: Caller) -> Self:
        own = {name: getattr(status, name) for name in cls.model_fields}
        return cls(**own | {"error": caller.told(status.error)})


def who(caller: Caller) -> str:
    """As the audit names a caller."""
    return f"key:{caller.key_id}" if caller.key_id is not None else "gateway"


def _check_given(asked: ActionRequest, tenant: str) -> None:
    """What a tenant asks for is about its own jobs, which is no filter that it has given.

    Raises FilterInvalid, FilterMissing.
    """
    if asked.filter.tenant not in (None, tenant or NO_NAME):
        raise FilterInvalid("These are another tenant's jobs.", remedy="Leave `tenant` out: it is the key's.")
    if asked.filter == ActionFilter() and not asked.all_jobs:
        raise FilterMissing(f"To {asked.action} jobs, say which.")


@router.post(
    "/actions",
    status_code=202,
    response_model=ActionView,
    responses=responses(400, 408, 413, 415, 422, *_COMMON),
    openapi_extra=described(ActionRequest),
)
async def ask(
    request: Request, caller: Cancelling, asked: Annotated[ActionRequest, Depends(json_body(ActionRequest))]
) -> Response:
    """Cancel, replay or delete all jobs of a filter: one's own, or, as an operator, anybody's."""
    queue: AsyncOcrQueue = request.app.state.queue
    wanted: dict[str, Any] = {name: getattr(asked.filter, name) for name in asked.filter.model_fields_set}
    if asked.action == "replay":
        may_replay(caller)
    all_jobs, owner = asked.all_jobs, None
    if not caller.is_operator:
        owner = caller.tenant
        _check_given(asked, owner)
        wanted["tenant"] = owner or NO_NAME
        all_jobs = False
    status = await queue.actions.ask(
        asked.action, who=who(caller), owner=owner, all_jobs=all_jobs, dry_run=asked.dry_run, **wanted
    )
    wake(request.app)
    view = ActionView.of(status, caller)
    headers = {"location": f"/v1/actions/{view.id}", "retry-after": "1"}
    return JSONResponse(view.model_dump(mode="json"), 202, headers=headers)


@router.get("/actions/{action_id}", responses=responses(404, 422, *_COMMON))
async def action(request: Request, caller: Reading, action_id: ActionId) -> ActionView:
    """How far an action is."""
    queue: AsyncOcrQueue = request.app.state.queue
    status = await queue.actions.status(action_id)
    if not caller.is_operator and status.owner != caller.tenant:
        raise ActionUnknown(f"No action {action_id}.")
    return ActionView.of(status, caller)
