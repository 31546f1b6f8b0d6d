"""What was read of a batch, as JSON Lines: one line a job, in the order of submission."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.document import MOST_INLINE, Document, document_from_json
from ocrqueue.document.formats import written_pieces
from ocrqueue.errors import OcrQueueError
from ocrqueue.operations.batches import AsyncBatch
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.jobs.rendering import in_thread

Include = Literal["document", "text", "none"]
_AHEAD: Final = 8
"""Results that are read from storage at a time."""


async def result_lines(
    queue: AsyncOcrQueue, batch: AsyncBatch, caller: Caller, include: Include
) -> AsyncIterator[bytes]:
    """Also of jobs that have not ended: their state tells."""
    coming: deque[asyncio.Task[_Line]] = deque()
    try:
        async for status in batch.jobs():
            coming.append(asyncio.create_task(asyncio.to_thread(_line, queue, status, caller, include)))
            if len(coming) >= _AHEAD:
                async for piece in _pieces(await coming.popleft()):
                    yield piece
        while coming:
            async for piece in _pieces(await coming.popleft()):
                yield piece
    finally:
        for task in coming:
            task.cancel()


@dataclass(frozen=True, slots=True)
class _Line:
    """As it is written; of a large Document without that, whose pages are read as they are written."""

    text: bytes
    large: Document | None = None


async def _pieces(line: _Line) -> AsyncIterator[bytes]:
    if line.large is None:
        yield line.text
        return
    yield line.text[:-2] + b',"document":'
    # in JSON a line break within a text is an escape
    async for piece in in_thread(piece.encode().replace(b"\n", b" ") for piece in written_pieces(line.large, "json")):
        yield piece
    yield b"}\n"


def _line(queue: AsyncOcrQueue, status: JobStatus, caller: Caller, include: Include) -> _Line:
    told: dict[str, object] = {"custom_id": status.name, "id": status.id, "state": status.state}
    if (error := caller.told(status.error)) is not None:
        told["error"] = error.model_dump(mode="json")
    if include == "none" or status.state not in WITH_RESULT or status.result is None:
        return _Line(_written(told))
    try:
        stored = queue.storage.read_uri(status.result)
        if include == "text":
            return _Line(_written({**told, "text": document_from_json(stored).bind(queue.storage).text}))
        if (status.pages or 0) > MOST_INLINE:
            return _Line(_written(told), document_from_json(stored).bind(queue.storage))
        # as it is stored
        return _Line(_written(told)[:-2] + b',"document":' + stored.replace(b"\n", b" ") + b"}\n")
    except OcrQueueError as failed:
        info = caller.told(failed.info) or failed.info
        return _Line(_written({**told, "error": info.model_dump(mode="json")}))


def _written(told: dict[str, object]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
