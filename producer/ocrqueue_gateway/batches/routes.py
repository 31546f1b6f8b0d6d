"""The routes below /v1/batches."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Annotated, Any, Final

import uuid_utils
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import JobMalformed, JobWaitTimeout
from ocrqueue.job import BATCH
from ocrqueue.operations.batches import AsyncBatch
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.batches.lines import Lines, check_count
from ocrqueue_gateway.batches.results import Include, result_lines
from ocrqueue_gateway.batches.submitting import submit_all
from ocrqueue_gateway.batches.view import BatchCancelled, BatchSubmitted, BatchView, LineError, LinesTold
from ocrqueue_gateway.hardening.bodies import check_media_type, spooled
from ocrqueue_gateway.jobs.idempotency import KEY_PATTERN, claimed, key_of
from ocrqueue_gateway.problems import responses
from ocrqueue_gateway.settings import GatewaySettings

router = APIRouter(tags=["batches"])

JSON_LINES: Final = ("application/x-ndjson", "application/jsonl", "application/json-lines")
_COMMON: Final = (401, 403, 429, 503)
_OF_ONE: Final = (404, 422, *_COMMON)
_ERRORS_TOLD: Final = 20
BatchId = Annotated[str, Path(pattern=BATCH, description="As POST /v1/batches has returned it.")]
Reading = Annotated[Caller, Depends(require("read"))]


@router.post(
    "/batches",
    status_code=202,
    response_model=BatchSubmitted,
    responses={
        **responses(400, 408, 409, 413, 415, 422, *_COMMON),
        202: {
            "description": "Queued",
            "headers": {"Location": {"description": "Of the batch.", "schema": {"type": "string"}}},
            "links": {
                name: {"operationId": f"batches_{name}", "parameters": {"batch_id": "$response.body#/batch/id"}}
                for name in ("batch", "results", "cancel")
            },
        },
    },
    openapi_extra={
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same lines with the same key make no second batch, and go on with one cut short.",
                "schema": {"type": "string", "pattern": KEY_PATTERN},
            }
        ],
        "requestBody": {
            "required": True,
            "description": "A BatchLine a line.",
            "content": {
                kind: {
                    "schema": {"type": "string", "contentMediaType": "application/json"},
                    "example": '{"custom_id": "a", "image": "https://example.org/scans/a.jpg"}\n',
                }
                for kind in JSON_LINES
            },
        },
    },
)
async def submit(request: Request, caller: Annotated[Caller, Depends(require("submit"))]) -> Response:
    """Submit up to 50,000 jobs, each a line of JSON with a `custom_id` of the caller's own.

    A line that is wrong is told of, and the others are queued. Where a queue is full, the lines after that are
    rejected: they may be sent again, as another batch.
    """
    queue: AsyncOcrQueue = request.app.state.queue
    settings: GatewaySettings = request.app.state.settings
    key = key_of(request.headers.get("idempotency-key"))
    check_media_type(request, *JSON_LINES)
    async with (
        claimed(queue, caller.tenant, "batch", key) as claim,
        spooled(request, settings.max_batch_bytes) as body,
    ):
        await asyncio.to_thread(check_count, body.file, settings)
        earlier = claim.check(body.sha256)
        if earlier is not None:
            view = BatchView.of(await queue.batch(earlier, tenant=caller.tenant).status())
            lines_told = LinesTold.model_validate_json(claim.told)
            return _answer(BatchSubmitted(**dict(lines_told), batch=view), {"idempotent-replayed": "true"})
        name = _name(caller, key, body.sha256) if key is not None else str(uuid_utils.uuid7())
        lines = Lines(queue.settings, settings, queue.storage, caller, name, once=key is not None)
        submitted = await submit_all(queue, lines.parse(body.file))
        if not submitted.accepted:
            errors: list[Any] = [LineError.of(line).model_dump() for line in submitted.errors[:_ERRORS_TOLD]]
            raise JobMalformed(
                f"None of the {submitted.rejected} lines is a job.", rejected=submitted.rejected, errors=errors
            )
        status = await queue.batch(name, tenant=caller.tenant).close()
        answer = BatchSubmitted.of(submitted, status)
        # who has not got the answer is to learn of the lines that were rejected
        claim.keep(body.sha256, name, answer.model_dump_json(exclude={"batch"}))
    return _answer(answer, {})


def _name(caller: Caller, key: str, fingerprint: str) -> str:
    return sha256(f"{caller.tenant}\n{key}\n{fingerprint}".encode()).hexdigest()[:32]


def _answer(told: BatchSubmitted, headers: dict[str, str]) -> Response:
    location = {"location": told.batch.links["self"], **headers}
    return JSONResponse(told.model_dump(mode="json"), 202, headers=location)


@router.get("/batches/{batch_id}", responses=responses(*_OF_ONE))
async def batch(
    request: Request,
    caller: Reading,
    batch_id: BatchId,
    wait: Annotated[float, Query(ge=0, le=86_400, description="Seconds to wait for its end, at most.")] = 0,
) -> BatchView:
    """Its counts by state: now, or once all its jobs have ended."""
    found = _batch(request, caller, batch_id)
    wait_s = min(wait, request.app.state.settings.max_wait_s)
    if wait_s:
        try:
            return BatchView.of(await found.wait(wait_s))
        except JobWaitTimeout:
            pass
    return BatchView.of(await found.status())


@router.get(
    "/batches/{batch_id}/results",
    responses={
        **responses(*_OF_ONE),
        200: {
            "description": "A BatchResult a line",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
    },
)
async def results(
    request: Request,
    caller: Reading,
    batch_id: BatchId,
    include: Annotated[Include, Query(description="What of each result.")] = "document",
) -> Response:
    """What was read, as JSON Lines in the order of submission; jobs that have not ended have their state only."""
    found = _batch(request, caller, batch_id)
    await found.status()
    lines = result_lines(request.app.state.queue, found, caller, include)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@router.post("/batches/{batch_id}/cancel", responses=responses(*_OF_ONE))
async def cancel(
    request: Request, caller: Annotated[Caller, Depends(require("cancel"))], batch_id: BatchId
) -> BatchCancelled:
    """Cancel all its jobs that have not ended."""
    found = _batch(request, caller, batch_id)
    await found.close()
    done = await found.cancel(who=caller.key_id or "gateway")
    return BatchCancelled(cancelled=done.jobs, batch=BatchView.of(await found.status()))


def _batch(request: Request, caller: Caller, name: str) -> AsyncBatch:
    queue: AsyncOcrQueue = request.app.state.queue
    return queue.batch(name, tenant=caller.tenant)
