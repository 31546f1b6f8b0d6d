"""What was read: the whole in every format that a Document has, files that the job has stored, pictures of words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.client import check_has_result
from ocrqueue.core import JobStatus
from ocrqueue.document import MOST_INLINE, Document
from ocrqueue.document.formats import files
from ocrqueue.document.formats.files import KINDS
from ocrqueue.errors import CropMissing, ImageUnsupported, OutputMissing, PageNotFound, RequestInvalid
from ocrqueue.job.names import OutputFormat
from ocrqueue_gateway.jobs.rendering import Renderer, in_thread
from ocrqueue_gateway.problems import JobHasNoResult

_WORD_ID: Final = re.compile(r"p([0-9]{1,9})-")


async def result_response(request: Request, status: JobStatus, name: OutputFormat, page: int | None) -> Response:
    """Raises JobNotFinished, JobCancelled, JobHasNoResult, OutputMissing, PageNotFound and what storage raises."""
    queue: AsyncOcrQueue = request.app.state.queue
    check_result(status)
    is_large = (status.pages or 0) > MOST_INLINE
    if name == "json" and page is None and status.result is not None and not is_large:
        # as it is stored; of a large one that says where its pages are, to those who can read storage
        return await _stored(request, status.result, KINDS[name].content_type, file_name(status.id, name))
    document = await queue.document(status)
    try:
        return await output_response(request, status, document, name, page)
    except OutputMissing:
        pass
    renderer: Renderer = request.app.state.renderer
    if name == "page" and page is None:
        if len(document.pages) != 1:
            raise RequestInvalid("PAGE XML is a file for each page.", remedy="Name the page: format=page&page=1.")
        page = document.page_numbers[0]
    elif page is not None and name != "page":
        document = document.with_pages([await asyncio.to_thread(document.page, page)])
    pieces = await renderer.pieces(document, name, page if name == "page" else None)
    return _streamed(pieces, KINDS[name].content_type, file_name(status.id, name, page))


async def output_response(
    request: Request, status: JobStatus, document: Document, name: str, page: int | None
) -> Response:
    """A file that the job has stored. Raises OutputMissing."""
    output = document.output(name, page)
    return await _stored(request, output.uri, KINDS[name].content_type, file_name(status.id, name, output.page))


async def _stored(request: Request, uri: str, content_type: str, name: str) -> Response:
    queue: AsyncOcrQueue = request.app.state.queue
    settings = request.app.state.settings
    if settings.presigned_results:
        url = await asyncio.to_thread(queue.storage.presigned_get, uri, settings.upload_ttl_s, content_type)
        if url is not None:
            return RedirectResponse(url, 307)
    pieces = queue.storage.pieces(uri)
    # what is not there is to be told as an error, before there is an answer
    first = await asyncio.to_thread(next, pieces, b"")
    return _streamed(in_thread(chain([first], pieces)), content_type, name)


def _streamed(pieces: AsyncIterator[bytes], content_type: str, name: str) -> Response:
    headers = {"content-disposition": f'inline; filename="{name}"'}
    return StreamingResponse(pieces, media_type=content_type, headers=headers)


def file_name(job_id: str, name: str, page: int | None = None) -> str:
    return files.file_name(job_id, name, page)


def check_result(status: JobStatus) -> None:
    """Raises JobHasNoResult, with the job's own error; whoever reads the result raises the rest."""
    if status.state == "failed" and status.error is not None:
        raise JobHasNoResult(status.error)
    check_has_result(status)


async def overlay_of(renderer: Renderer, document: Document, page: int) -> bytes:
    """The PNG of a page with its words marked. Raises ImageUnsupported for a PDF, and as Renderer.overlay()."""
    try:
        return await renderer.overlay(document, page)
    except ImageUnsupported as error:
        if document.input.format != "PDF":
            raise
        marked = f"/v1/jobs/{document.job_id}/result?format=overlay-pdf"
        remedy = f"Get the PDF with its words marked: {marked}; one page of it with &page=."
        raise ImageUnsupported(error.message, remedy=remedy) from None


async def document_of(queue: AsyncOcrQueue, status: JobStatus) -> Document:
    """Raises as result_response()."""
    check_result(status)
    return await queue.document(status)


def crop_of(document: Document, word_id: str) -> bytes:
    """The PNG of a word. Raises CropMissing, and what storage raises. It blocks."""
    named = _WORD_ID.match(word_id)
    with suppress(PageNotFound):
        for word in document.page(int(named[1])).words() if named else ():
            if word.id == word_id:
                if word.crop is None:
                    raise CropMissing()
                return word.crop.open().read()
    raise CropMissing(f"The job has read no word {word_id}.", remedy="The Document lists its words.")
