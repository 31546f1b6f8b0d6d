"""POST /v1/events/s3."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ocrqueue.aio import AsyncOcrQueue, keys_of, redis_of
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import RequestInvalid
from ocrqueue.job import Job
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.engines import check_engines
from ocrqueue_gateway.bucket_events.notifications import ObjectStored, objects_stored
from ocrqueue_gateway.bucket_events.rules import Rule, rule_for
from ocrqueue_gateway.bucket_events.sender import sender
from ocrqueue_gateway.bucket_events.sns import Topics, is_sns
from ocrqueue_gateway.hardening.bodies import check_media_type, read_pieces
from ocrqueue_gateway.problems import responses

router = APIRouter(tags=["events"])

_BODY = {"schema": {"type": "object"}}


class EventsTaken(BaseModel):
    """What became of the events of a message."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "jobs": ["0198c0de-0000-7000-8000-000000000000"],
                "submitted": 1,
                "known": 0,
                "ignored": 0,
            }
        }
    )

    jobs: list[str] = Field(description="Ids of the jobs that stand for what was stored, in order.")
    submitted: int = Field(description="How many of them are new.")
    known: int = Field(description="How many were submitted by the same event before.")
    ignored: int = Field(description="Events that are of something else, or that no rule fits.")


@router.post(
    "/events/s3",
    responses=responses(403, 413, 415, 422, 503),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": _BODY, "text/plain": _BODY}},
        "parameters": [
            {
                "name": "key",
                "in": "query",
                "required": False,
                "schema": {"type": "string"},
                "description": "A key, of senders that can put it nowhere else.",
            }
        ],
    },
)
async def take_events(request: Request, caller: Annotated[Caller, Depends(sender)]) -> EventsTaken:
    """Submit what was stored in a bucket, by the rules of this installation.

    Takes notifications of Amazon S3, directly or by SNS or EventBridge, of MinIO and of Ceph. What is of something else
    is acknowledged.
    """
    message = await _read(request)
    if is_sns(message):
        topics: Topics = request.app.state.sns_topics
        message = await topics.unwrapped(message)
    queue: AsyncOcrQueue = request.app.state.queue
    jobs, ignored = [], 0
    for stored in objects_stored(message):
        job = _job_of(stored, request.app.state.bucket_rules, caller, queue)
        ignored += job is None
        jobs += [job] if job is not None else []
    for job in jobs:
        check_engines(caller, queue.settings, engine=job.engine, fallback=job.fallback, compare=job.compare)
    handles = await queue.submit_many(jobs)
    ids = [handle.id for handle in handles]
    new = sum(job.id == job_id for job, job_id in zip(jobs, ids, strict=True))
    taken = EventsTaken(jobs=ids, submitted=new, known=len(ids) - new, ignored=ignored)
    await _count(queue, taken)
    return taken


async def _read(request: Request) -> Any:
    # Amazon SNS says that its JSON is plain text
    check_media_type(request, "application/json", "text/plain")
    pieces = [piece async for piece in read_pieces(request, request.app.state.settings.max_json_bytes)]
    try:
        message = json.loads(b"".join(pieces))
    except (ValueError, RecursionError):
        raise RequestInvalid("The body is not JSON.") from None
    if not isinstance(message, dict):
        raise RequestInvalid("The body is no JSON object.")
    return message


def _job_of(stored: ObjectStored | None, rules: tuple[Rule, ...], caller: Caller, queue: AsyncOcrQueue) -> Job | None:
    # what this installation stores itself is not read again, for ever
    if stored is None or queue.storage.keys_behind(stored.reference):
        return None
    rule = rule_for(rules, stored, caller)
    if rule is None:
        return None
    settings = queue.settings
    defaults = {"engine": settings.default_engine, "languages": settings.default_languages}
    if "compare" in rule.fields:
        del defaults["engine"]
    own = {
        "image": stored.reference,
        "tenant": caller.tenant if rule.tenant is None else rule.tenant,
        "idempotency_key": stored.idempotency_key,
        "name": stored.key.rpartition("/")[2][:256],
    }
    try:
        return Job.model_validate({**defaults, **own, **rule.fields})
    except ValidationError:
        return None


async def _count(queue: AsyncOcrQueue, taken: EventsTaken) -> None:
    counted = Counter(submitted=taken.submitted, known=taken.known, ignored=taken.ignored)
    with broker_errors():
        async with redis_of(queue).pipeline(transaction=False) as pipeline:
            for became, count in counted.items():
                if count:
                    pipeline.hincrby(keys_of(queue).bucket_events(), became, count)
            await pipeline.execute()
