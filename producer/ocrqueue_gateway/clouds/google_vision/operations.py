"""Images and files that are asked for later: operations, whose results are stored in the client's bucket.

An operation is remembered in Redis with its jobs. The replica that has taken it writes the results once all jobs have
ended; should that one be gone by then, the replica that is asked for the operation does.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal

import uuid_utils
from google.protobuf import any_pb2, empty_pb2
from pydantic import BaseModel, ConfigDict, JsonValue
from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.errors import ErrorInfo, JobUnknown, OcrQueueError, RequestInvalid
from ocrqueue.submitting.submission import JobFields
from ocrqueue_gateway.clouds import operations, reading
from ocrqueue_gateway.clouds.background import Background
from ocrqueue_gateway.clouds.google_vision import messages
from ocrqueue_gateway.clouds.google_vision.annotations import Fields
from ocrqueue_gateway.clouds.google_vision.asking import Asked, Call, file_asked, image_asked, is_own_fault
from ocrqueue_gateway.clouds.google_vision.calls import input_config
from ocrqueue_gateway.clouds.google_vision.output_files import Destination, destination_of, write_file, write_images
from ocrqueue_gateway.clouds.google_vision.statuses import Code, status_of_image

MOST_IMAGES: Final = 2000
MOST_FILES: Final = 100
_FINISHING_S: Final = 5.0
"""So long a request for an operation waits while its results are written."""

State = Literal["running", "done", "cancelled", "failed"]
_STATES: Final = {"created": 1, "running": 2, "done": 3, "cancelled": 4, "failed": 3}
"""OperationMetadata.State."""


class Item(BaseModel):
    """An image or file of an operation."""

    model_config = ConfigDict(frozen=True)

    job: str | None = None
    error: ErrorInfo | None = None
    """Why there is no job."""
    given: dict[str, JsonValue] = {}
    """Fields of a file's InputConfig."""


class LongRunning(BaseModel):
    """As it is remembered."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["images", "files"]
    parent: str = ""
    items: tuple[Item, ...]
    outputs: tuple[Destination, ...]
    """One for all images, or one for each file."""
    created_at: datetime
    updated_at: datetime
    state: State = "running"
    error: dict[str, JsonValue] | None = None
    """Fields of a Status, of one that has failed or was cancelled."""

    @property
    def jobs(self) -> list[str]:
        return [item.job for item in self.items if item.job is not None]

    def at_end(self, state: State, error: Fields | None = None) -> LongRunning:
        return self.model_copy(update={"state": state, "error": error, "updated_at": datetime.now(UTC)})


async def start_images(call: Call, message: Any) -> Any:
    """AsyncBatchAnnotateImages: the operation. Raises what a submission raises, and then no job is left of it."""
    _check_count(len(message.requests), MOST_IMAGES, "images")
    outputs = (destination_of(call, message.output_config),)
    items = await _submitted(call, [(image_asked, each, {}) for each in message.requests])
    return await _started(call, "images", message.parent, items, outputs)


async def start_files(call: Call, message: Any) -> Any:
    """AsyncBatchAnnotateFiles. Raises as start_images()."""
    _check_count(len(message.requests), MOST_FILES, "files")
    outputs = tuple(destination_of(call, each.output_config) for each in message.requests)
    asked = [(file_asked, each, input_config(each.input_config)) for each in message.requests]
    items = await _submitted(call, asked)
    return await _started(call, "files", message.parent, items, outputs)


async def operation(call: Call, name: str) -> Any:
    """Its message, as it is now. Raises JobUnknown."""
    operation_id = name.rpartition("/")[2]
    found = await _remembered(call, operation_id)
    if found.state == "running" and all(map(_has_ended, await _statuses(call, found))):
        await asyncio.wait([_finishing(call, operation_id)], timeout=_FINISHING_S)
        found = await _remembered(call, operation_id)
    return _message(operation_id, found)


async def cancel(call: Call, name: str) -> None:
    """What is not read yet is not read. Raises JobUnknown."""
    operation_id = name.rpartition("/")[2]
    found = await _remembered(call, operation_id)
    if found.state != "running":
        return
    cancelled: Fields = {"code": int(Code.CANCELLED), "message": "The operation was cancelled."}
    await operations.remember(_queue(call), call.caller, "google", operation_id, found.at_end("cancelled", cancelled))
    await _cancel(call, found.jobs)


async def delete(call: Call, name: str) -> None:
    """Nobody is told of it any more; what it stores is stored. Raises JobUnknown."""
    operation_id = name.rpartition("/")[2]
    await _remembered(call, operation_id)
    await operations.forget(_queue(call), call.caller, "google", operation_id)


def empty() -> Any:
    """google.protobuf.Empty."""
    return empty_pb2.Empty()


def _check_count(count: int, most: int, what: str) -> None:
    if not 1 <= count <= most:
        raise RequestInvalid(f"{count} {what} are asked for; 1 to {most} can be.")


async def _submitted(call: Call, asked: Sequence[tuple[Any, Any, Fields]]) -> tuple[Item, ...]:
    items: list[Item] = []
    try:
        for asking, message, given in asked:
            try:
                one: Asked = await asking(call, message)
                options: JobFields = {"languages": one.languages, "pages": one.pages}
                job = await reading.submit(call.request, call.caller, "google", one.image, **options)
                items.append(Item(job=job.id, given=given))
            except OcrQueueError as error:
                if not is_own_fault(error):
                    raise
                items.append(Item(error=error.info, given=given))
    except BaseException:
        await _cancel(call, [item.job for item in items if item.job is not None])
        raise
    call.forget_files()
    return tuple(items)


async def _started(
    call: Call,
    kind: Literal["images", "files"],
    parent: str,
    items: tuple[Item, ...],
    outputs: tuple[Destination, ...],
) -> Any:
    now = datetime.now(UTC)
    made = LongRunning(kind=kind, parent=parent[:200], items=items, outputs=outputs, created_at=now, updated_at=now)
    operation_id = uuid_utils.uuid7().hex
    try:
        await operations.remember(_queue(call), call.caller, "google", operation_id, made)
    except OcrQueueError:
        await _cancel(call, made.jobs)
        raise
    # the request itself may have to do with a connection: what goes on for hours does not hold it
    detached = Call(Request({"type": "http", "app": call.request.app, "headers": []}), call.caller)
    follow = functools.partial(_follow, detached, operation_id, made.jobs)
    call.request.app.state.background.start(f"follow google {operation_id}", follow)
    return _message(operation_id, made)


async def _follow(call: Call, operation_id: str, jobs: Sequence[str]) -> None:
    queue = _queue(call)
    with suppress(OcrQueueError):  # such as of a job that was deleted; whoever asks for the operation goes on
        async for _ in queue.watch([queue.job(job_id) for job_id in jobs]):
            pass
        await asyncio.wait([_finishing(call, operation_id)])


def _finishing(call: Call, operation_id: str) -> asyncio.Task[None]:
    """One in a replica at a time: writing twice would do no harm."""
    background: Background = call.request.app.state.background
    return background.start(f"finish google {operation_id}", functools.partial(_finish, call, operation_id))


async def _finish(call: Call, operation_id: str) -> None:
    """Write the results, once all jobs have ended; where storage fails for now, it is done with the next question."""
    queue = _queue(call)
    with suppress(JobUnknown):  # it is remembered no longer
        found = await operations.remembered(queue, call.caller, "google", operation_id, LongRunning)
        if found.state != "running":
            return
        error: Fields | None = None
        try:
            await _write(queue, found, await _statuses(call, found))
        except OcrQueueError as raised:
            if raised.retryable:
                return
            error = status_of_image(raised.info)
        # it may have been cancelled meanwhile
        found = await operations.remembered(queue, call.caller, "google", operation_id, LongRunning)
        if found.state == "running":
            ended = found.at_end("done" if error is None else "failed", error)
            await operations.remember(queue, call.caller, "google", operation_id, ended)


async def _write(queue: AsyncOcrQueue, found: LongRunning, statuses: Sequence[JobStatus | ErrorInfo]) -> None:
    if found.kind == "images":
        await write_images(queue, statuses, found.outputs[0])
        return
    for item, status, output in zip(found.items, statuses, found.outputs, strict=True):
        await write_file(queue, status, item.given, output)


async def _statuses(call: Call, found: LongRunning) -> list[JobStatus | ErrorInfo]:
    """Of each item: its job, or why there is none."""
    known = dict(zip(found.jobs, await _queue(call).statuses(found.jobs), strict=True))
    return [item.error or known[item.job or ""] or JobUnknown(f"No job {item.job}.").info for item in found.items]


def _has_ended(status: JobStatus | ErrorInfo) -> bool:
    return isinstance(status, ErrorInfo) or status.finished


def _message(operation_id: str, found: LongRunning) -> Any:
    name = f"{found.parent}/operations/{operation_id}".lstrip("/")
    made = messages.Operation(name=name, done=found.state != "running")
    metadata = messages.OperationMetadata(state=_STATES[found.state])
    metadata.create_time.FromDatetime(found.created_at)
    metadata.update_time.FromDatetime(found.updated_at)
    made.metadata.CopyFrom(_packed(metadata))
    if found.error is not None:
        made.error.code, made.error.message = int(str(found.error["code"])), str(found.error["message"])
    elif found.state == "done" and found.kind == "images":
        response = messages.AsyncImagesResponse(output_config=found.outputs[0].fields())
        made.response.CopyFrom(_packed(response))
    elif found.state == "done":
        each = [{"output_config": output.fields()} for output in found.outputs]
        made.response.CopyFrom(_packed(messages.AsyncFilesResponse(responses=each)))
    return made


def _packed(message: Any) -> Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


async def _remembered(call: Call, operation_id: str) -> LongRunning:
    found = await operations.remembered(_queue(call), call.caller, "google", operation_id, LongRunning)
    if await operations.is_forgotten(_queue(call), call.caller, "google", operation_id):
        raise JobUnknown(f"No operation {operation_id[:80]}.")
    return found


async def _cancel(call: Call, jobs: Sequence[str]) -> None:
    for job_id in jobs:
        with suppress(OcrQueueError):  # it has ended, or was deleted
            await _queue(call).cancel(job_id)


def _queue(call: Call) -> AsyncOcrQueue:
    queue: AsyncOcrQueue = call.request.app.state.queue
    return queue
