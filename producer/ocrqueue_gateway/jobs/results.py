"""What was read, in every format that a Document has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from starlette.responses import Response, StreamingResponse

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.document import Document
from ocrqueue.document.formats import written_pieces
from ocrqueue.document.formats.files import KINDS
from ocrqueue_gateway.problems import JobHasNoResult

ResultFormat = Literal["text", "text-layout", "json", "jsonl", "tsv", "csv", "markdown", "hocr", "alto", "page"]


async def result_response(queue: AsyncOcrQueue, status: JobStatus, name: ResultFormat) -> Response:
    """Raises JobNotFinished, JobCancelled, JobHasNoResult, and what storage raises."""
    document = await document_of(queue, status)
    return StreamingResponse(_pieces(document, name), media_type=KINDS[name].content_type)


async def document_of(queue: AsyncOcrQueue, status: JobStatus) -> Document:
    if status.state == "failed" and status.error is not None:
        raise JobHasNoResult(status.error)
    return await queue.document(status)


async def _pieces(document: Document, name: str) -> AsyncIterator[bytes]:
    pieces = written_pieces(document, name)
    while (piece := await asyncio.to_thread(_next, pieces)) is not None:
        yield piece


def _next(pieces: Iterator[str]) -> bytes | None:
    piece = next(pieces, None)
    return None if piece is None else piece.encode("utf-8", "replace")
