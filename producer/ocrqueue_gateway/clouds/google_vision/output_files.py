"""What is stored in the client's bucket: JSON files of some images, or of some pages of a file.

They are named and filled by the operation alone: written twice, they are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.document import Document
from ocrqueue.errors import ErrorInfo, RequestInvalid, SourceBucketNotAllowed, SourcePathNotAllowed, StorageDenied
from ocrqueue.settings import ClientSettings
from ocrqueue.storage import Storage, open_storage
from ocrqueue.storage.base import check_key
from ocrqueue_gateway.clouds.google_vision.annotations import Fields
from ocrqueue_gateway.clouds.google_vision.asking import Call
from ocrqueue_gateway.clouds.google_vision.calls import document_or_error, image_response, page_response
from ocrqueue_gateway.clouds.google_vision.messages import as_json
from ocrqueue_gateway.clouds.google_vision.statuses import status_of_image

_BATCH: Final = 20
_MOST_IN_BATCH: Final = 100
"""As Google's."""


class Destination(BaseModel):
    """Where results are to be stored."""

    model_config = ConfigDict(frozen=True)

    uri: str
    """As the client has it."""
    place: str
    """s3://bucket/prefix of the files' names."""
    batch_size: Annotated[int, Field(ge=1, le=_MOST_IN_BATCH)]

    def file(self, first: int, last: int) -> tuple[str, str]:
        """The bucket, and the key, of those numbers, which count from 1."""
        bucket, _, prefix = self.place.removeprefix("s3://").partition("/")
        return bucket, f"{prefix}output-{first}-to-{last}.json"

    def fields(self) -> Fields:
        """Of an OutputConfig."""
        return {"gcs_destination": {"uri": self.uri}, "batch_size": self.batch_size}


def destination_of(call: Call, config: Any) -> Destination:
    """Of an OutputConfig. Raises RequestInvalid, SourceBucketNotAllowed, SourceInvalid, SourcePathNotAllowed."""
    uri, size = config.gcs_destination.uri, config.batch_size or _BATCH
    if not uri.startswith("gs://") or len(uri) > 1000:
        raise RequestInvalid("The output's uri is to be gs://bucket/prefix.")
    if not 1 <= size <= _MOST_IN_BATCH:
        raise RequestInvalid(f"batch_size is {size}; 1 to {_MOST_IN_BATCH} is possible.")
    place = call.rules.writable(uri, call.caller.tenant)
    if place is None:
        raise SourceBucketNotAllowed(
            f"Nothing is stored at {uri[:200]}: no rule says where that is.",
            remedy="Name a bucket that OCRQUEUE_GATEWAY_CLOUD_RULES has with write = true, or ask for one.",
        )
    made = Destination(uri=uri, place=place, batch_size=size)
    bucket, key = made.file(1, 1)
    try:
        check_key(key)
    except StorageDenied:
        # without the place itself, which a rule keeps from clients
        raise RequestInvalid("The name of the output's place has an empty part, or a NUL.") from None
    queue: AsyncOcrQueue = call.request.app.state.queue
    if queue.storage.owns(f"s3://{bucket}/{key}"):
        raise SourcePathNotAllowed("The output leads to where this installation keeps its own results.")
    return made


async def write_images(queue: AsyncOcrQueue, statuses: Sequence[JobStatus | ErrorInfo], to: Destination) -> None:
    """A file for each `batch_size` of them. Raises what storage raises."""
    for first, some in _batches(statuses, to.batch_size):
        answer = {"responses": [await image_response(queue, each) for each in some]}
        await asyncio.to_thread(_put, queue.settings, to, (first, first + len(some) - 1), answer)


async def write_file(queue: AsyncOcrQueue, status: JobStatus | ErrorInfo, given: Fields, to: Destination) -> None:
    """A file for each `batch_size` pages. `given`: fields of the InputConfig. Raises what storage raises."""
    document = await document_or_error(queue, status)
    if isinstance(document, ErrorInfo):
        error = {"input_config": given, "error": status_of_image(document)}
        await asyncio.to_thread(_put, queue.settings, to, (1, 1), error)
        return
    for first, numbers in _batches(document.page_numbers, to.batch_size):
        last = first + len(numbers) - 1
        await asyncio.to_thread(_put_pages, queue.settings, document, numbers, (first, last), given, to)


def _put_pages(
    settings: ClientSettings,
    document: Document,
    numbers: Sequence[int],
    named: tuple[int, int],
    given: Fields,
    to: Destination,
) -> None:
    uri = given.get("gcs_source", {}).get("uri", "")
    responses = [page_response(document, number, uri) for number in numbers]
    _put(settings, to, named, {"input_config": given, "responses": responses})


def _put(settings: ClientSettings, to: Destination, named: tuple[int, int], answer: Fields) -> None:
    bucket, key = to.file(*named)
    _storage(settings, bucket).put(key, as_json(answer, numbers=False), "application/json")


def _storage(settings: ClientSettings, bucket: str) -> Storage:
    return open_storage(settings.model_copy(update={"storage": f"s3://{bucket}"}))


def _batches(things: Sequence[Any], size: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Each with the number of its first one, which counts from 1."""
    return ((start + 1, things[start : start + size]) for start in range(0, len(things), size))
