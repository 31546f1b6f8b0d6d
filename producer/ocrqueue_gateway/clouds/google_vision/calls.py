"""Images and files that the client waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.document import Document, Page
from ocrqueue.errors import ErrorInfo, OcrQueueError, RequestInvalid
from ocrqueue.submitting.submission import JobFields
from ocrqueue_gateway.clouds import reading
from ocrqueue_gateway.clouds.google_vision.annotations import Fields, image_annotations, page_annotations
from ocrqueue_gateway.clouds.google_vision.asking import (
    MOST_PAGES,
    Asked,
    Call,
    file_asked,
    image_asked,
    is_own_fault,
    pages_asked,
)
from ocrqueue_gateway.clouds.google_vision.statuses import status_of_image
from ocrqueue_gateway.clouds.reading import Reading

MOST_IMAGES: Final = 16
Annotate = Callable[[Page, Document], Fields]


async def annotate_images(call: Call, message: Any) -> Fields:
    """BatchAnnotateImages: fields of its response. What is wrong with one image is told in its place.

    Raises what a submission raises, and JobWaitTimeout.
    """
    count = len(message.requests)
    if not 1 <= count <= MOST_IMAGES:
        raise RequestInvalid(f"{count} images are asked for at once; 1 to {MOST_IMAGES} can be.")
    begun = await _all_begun(call, [image_asked(call, each) for each in message.requests])
    message.Clear()
    statuses = await _ended(call, begun)
    queue: AsyncOcrQueue = call.request.app.state.queue
    responses = [await image_response(queue, each) for each in statuses]
    await _answered(call, begun)
    return {"responses": responses}


async def annotate_files(call: Call, message: Any) -> Fields:
    """BatchAnnotateFiles, of one file, as Google's. Raises as annotate_images()."""
    if len(message.requests) != 1:
        raise RequestInvalid(f"{len(message.requests)} files are asked for at once; one can be.")
    (asked,) = message.requests
    given, pages = input_config(asked.input_config), pages_asked(asked)
    begun = await _all_begun(call, [_some_pages(file_asked(call, asked), pages or f"1-{MOST_PAGES}")])
    message.Clear()
    (status,) = await _ended(call, begun)
    queue: AsyncOcrQueue = call.request.app.state.queue
    response = await file_response(queue, status, given, counts=pages is None)
    await _answered(call, begun)
    return {"responses": [response]}


async def image_response(queue: AsyncOcrQueue, status: JobStatus | ErrorInfo) -> Fields:
    """An AnnotateImageResponse, of a job that has ended, or of what was wrong before there was one."""
    document = await document_or_error(queue, status)
    if isinstance(document, ErrorInfo):
        return {"error": status_of_image(document)}
    # of an image with several pages the first was asked for
    numbers = document.page_numbers[:1]
    return await asyncio.to_thread(_of_page, document, numbers[0], image_annotations) if numbers else {}


async def file_response(queue: AsyncOcrQueue, status: JobStatus | ErrorInfo, given: Fields, *, counts: bool) -> Fields:
    """An AnnotateFileResponse. `given`: fields of its InputConfig. `counts`: the first pages were asked for."""
    document = await document_or_error(queue, status)
    if isinstance(document, ErrorInfo):
        return {"input_config": given, "error": status_of_image(document)}
    uri = given.get("gcs_source", {}).get("uri", "")
    responses = [await asyncio.to_thread(page_response, document, number, uri) for number in document.page_numbers]
    response: Fields = {"input_config": given, "responses": responses}
    if counts and len(responses) < MOST_PAGES:  # else there may be more, which nobody has counted
        response["total_pages"] = len(responses)
    return response


def page_response(document: Document, number: int, uri: str) -> Fields:
    """An AnnotateImageResponse of a file's page. It blocks."""
    context: Fields = {"page_number": number, **({"uri": uri} if uri else {})}
    return {**_of_page(document, number, page_annotations), "context": context}


def input_config(asked: Any) -> Fields:
    """Fields of an InputConfig, as answers have it: without the content."""
    given: Fields = {}
    if asked.mime_type:
        given["mime_type"] = asked.mime_type[:100]
    if asked.gcs_source.uri and not asked.content:
        given["gcs_source"] = {"uri": asked.gcs_source.uri}
    return given


async def document_or_error(queue: AsyncOcrQueue, status: JobStatus | ErrorInfo) -> Document | ErrorInfo:
    """What was read, or why it was not. Raises StorageUnavailable."""
    if isinstance(status, ErrorInfo):
        return status
    if status.state == "failed" and status.error is not None:
        return status.error
    try:
        return await queue.document(status)
    except OcrQueueError as error:  # it was cancelled, or what it stored is gone
        if error.retryable:
            raise
        return error.info


async def _some_pages(asking: Awaitable[Asked], pages: str) -> Asked:
    return replace(await asking, pages=pages)


async def _all_begun(call: Call, asked: Sequence[Awaitable[Asked]]) -> list[Reading | ErrorInfo]:
    """What is wrong with one image stands in its place. Raises what is wrong with the whole request."""
    begun = await asyncio.gather(*(_begun(call, each) for each in asked), return_exceptions=True)
    call.forget_files()
    for each in begun:
        if isinstance(each, BaseException):
            raise each
    return [each for each in begun if not isinstance(each, BaseException)]


async def _begun(call: Call, asking: Awaitable[Asked]) -> Reading | ErrorInfo:
    try:
        asked = await asking
        options: JobFields = {"languages": asked.languages, "pages": asked.pages}
        return await reading.begin(call.request, call.caller, "google", asked.image, **options)
    except OcrQueueError as error:
        if is_own_fault(error):
            return error.info
        raise


async def _ended(call: Call, begun: Sequence[Reading | ErrorInfo]) -> list[JobStatus | ErrorInfo]:
    readings = [each for each in begun if isinstance(each, Reading)]
    statuses = iter(await reading.ended(call.request, readings, call.within_s) if readings else [])
    return [each if isinstance(each, ErrorInfo) else next(statuses) for each in begun]


async def _answered(call: Call, begun: Sequence[Reading | ErrorInfo]) -> None:
    await reading.answered(call.request, [each for each in begun if isinstance(each, Reading)])


def _of_page(document: Document, number: int, annotate: Annotate) -> Fields:
    page = document.page(number)
    return {"error": status_of_image(page.error)} if page.error is not None else annotate(page, document)
