"""OutputConfig: what was read, stored in the client's bucket as `prefix/JobId/1`, `2` and so on; of a job that failed
nothing.

The replica that has started the job stores it once it has ended; should that one be gone by then, the replica that is
asked for the job does. Written twice, the files are the same.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json
from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.document import Document
from ocrqueue.errors import (
    ErrorInfo,
    JobUnknown,
    OcrQueueError,
    RequestInvalid,
    SourceBucketNotAllowed,
    SourcePathNotAllowed,
    StorageDenied,
)
from ocrqueue.settings import ClientSettings
from ocrqueue.storage import open_storage
from ocrqueue.storage.base import check_key
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.clouds.operations import remember, remembered
from ocrqueue_gateway.clouds.rules import CloudRules
from ocrqueue_gateway.clouds.textract.answers import READ, answer_of
from ocrqueue_gateway.clouds.textract.paging import Place, some_blocks
from ocrqueue_gateway.clouds.textract.requests import MOST_RESULTS, OutputConfig

_STORING_S: Final = 5.0
"""So long a request for a job waits while its results are stored."""


class Output(BaseModel):
    """Of a job, as it is remembered."""

    model_config = ConfigDict(frozen=True)

    place: str
    """s3://bucket/prefix, without the job's id."""
    state: Literal["waits", "stored", "failed"] = "waits"
    error: ErrorInfo | None = None


def output_of(request: Request, caller: Caller, config: OutputConfig) -> Output:
    """Raises SourceBucketNotAllowed, SourceInvalid, SourcePathNotAllowed, RequestInvalid."""
    rules: CloudRules = request.app.state.cloud_rules
    place = rules.writable(f"s3://{config.s3_bucket}/{config.s3_prefix.strip('/')}/", caller.tenant)
    if place is None:
        raise SourceBucketNotAllowed(
            f"Nothing is stored in the bucket {config.s3_bucket} there: no rule says where that is.",
            remedy="Name a place that OCRQUEUE_GATEWAY_CLOUD_RULES has with write = true, or leave OutputConfig out.",
        )
    made = Output(place=place.rstrip("/"))
    bucket, key = _file(made, "job", 1)
    try:
        check_key(key)
    except StorageDenied:
        # without the place itself, which a rule keeps from clients
        raise RequestInvalid("The name of the output's place has an empty part, or a NUL.") from None
    queue: AsyncOcrQueue = request.app.state.queue
    if queue.storage.owns(f"s3://{bucket}/{key}"):
        raise SourcePathNotAllowed("The output leads to where this installation keeps its own results.")
    return made


async def store_later(request: Request, caller: Caller, job_id: str, output: Output) -> None:
    """Once the job has ended. Raises BrokerUnavailable."""
    queue: AsyncOcrQueue = request.app.state.queue
    await remember(queue, caller, "textract", job_id, output)
    _begin(request, caller, job_id)


async def stored(request: Request, caller: Caller, job_id: str) -> Output | None:
    """Of a job that was read; None where nothing was to be stored. Raises what Redis and storage raise."""
    queue: AsyncOcrQueue = request.app.state.queue
    with suppress(JobUnknown):
        output = await remembered(queue, caller, "textract", job_id, Output)
        if output.state != "waits":
            return output
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(_begin(request, caller, job_id)), _STORING_S)
        return await remembered(queue, caller, "textract", job_id, Output)
    return None


def _begin(request: Request, caller: Caller, job_id: str) -> asyncio.Task[None]:
    queue: AsyncOcrQueue = request.app.state.queue
    task: asyncio.Task[None] = request.app.state.background.start(
        f"textract {caller.tenant} {job_id}", lambda: _store(queue, caller, job_id)
    )
    return task


async def _store(queue: AsyncOcrQueue, caller: Caller, job_id: str) -> None:
    """Nothing of a job that was deleted. Raises what storage raises that may pass."""
    try:
        status = await queue.job(job_id).wait()
        output = await remembered(queue, caller, "textract", job_id, Output)
    except JobUnknown:
        return
    if output.state != "waits" or status.state not in READ:
        return
    try:
        document = await queue.document(status)
        await asyncio.to_thread(_put_all, queue.settings, status, document, output)
        done: dict[str, Any] = {"state": "stored"}
    except OcrQueueError as error:
        if error.retryable:  # whoever asks for the job next tries again
            raise
        done = {"state": "failed", "error": error.info}
    await remember(queue, caller, "textract", job_id, output.model_copy(update=done))


def _put_all(settings: ClientSettings, status: JobStatus, document: Document, output: Output) -> None:
    bucket, _ = _file(output, status.id, 1)
    storage = open_storage(settings.model_copy(update={"storage": f"s3://{bucket}"}))
    place: Place | None = Place()
    number = 0
    while place is not None:
        blocks, place = some_blocks(document, place, MOST_RESULTS)
        number += 1
        _, key = _file(output, status.id, number)
        storage.put(key, to_json(answer_of(status, document, blocks)), "application/json")


def _file(output: Output, job_id: str, number: int) -> tuple[str, str]:
    """Bucket and key."""
    bucket, _, prefix = output.place.removeprefix("s3://").partition("/")
    return bucket, f"{prefix}/{job_id}/{number}".lstrip("/")
