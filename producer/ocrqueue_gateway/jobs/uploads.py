"""POST /v1/uploads: a URL to which a client puts a file, past the gateway and without credentials of the storage."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import UploadUnsupported
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.hardening.body_limits import too_large
from ocrqueue_gateway.hardening.json_bodies import described, json_body
from ocrqueue_gateway.problems import responses

router = APIRouter(tags=["jobs"])


class UploadRequest(BaseModel):
    """What is to be uploaded."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"example": {"size_bytes": 48_211}})

    size_bytes: int = Field(ge=1, le=5_000_000_000, description="Its size: a PUT of another size is refused.")


class Upload(BaseModel):
    """Where it is to be put."""

    model_config = ConfigDict(frozen=True)

    method: str = "PUT"
    url: str = Field(description="To be sent to, with no header but Content-Length, before `expires_at`.")
    image: str = Field(
        description="The reference for POST /v1/jobs, once it is uploaded. Who knows it may refer to it."
    )
    expires_at: datetime


@router.post(
    "/uploads",
    status_code=201,
    responses=responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described(UploadRequest),
)
async def upload(
    request: Request,
    caller: Annotated[Caller, Depends(require("submit"))],
    asked: Annotated[UploadRequest, Depends(json_body(UploadRequest))],
) -> Upload:
    """Get a presigned URL to upload a file to; where storage is S3.

    An upload that no job refers to is removed after an hour.
    """
    queue: AsyncOcrQueue = request.app.state.queue
    if asked.size_bytes > queue.settings.source_max_bytes:
        raise too_large(queue.settings.source_max_bytes)
    # named as uploaded images are, but by chance: no other upload is ever taken for it
    key = f"inputs/{secrets.token_hex(32)}.bin"
    seconds: int = request.app.state.settings.upload_ttl_s
    expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
    url = await asyncio.to_thread(queue.storage.presigned_put, key, seconds, asked.size_bytes)
    if url is None:
        raise UploadUnsupported()
    return Upload(url=url, image=queue.storage.uri(key), expires_at=expires_at)
