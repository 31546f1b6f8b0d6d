"""What was read of a batch, as JSON Lines: one line a job, in the order of submission."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Literal

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.document import document_for_app
from ocrqueue.errors import OcrQueueError
from ocrqueue.operations.batches import AsyncBatch

Include = Literal["document", "text", "none"]
_AHEAD: Final = 8
"""Results that are read from storage at a time."""


async def result_lines(queue: AsyncOcrQueue, batch: AsyncBatch, include: Include) -> AsyncIterator[bytes]:
    """Also of jobs that have not ended: their state tells."""
    coming: deque[asyncio.Task[bytes]] = deque()
    try:
        async for status in batch.jobs():
            coming.append(asyncio.create_task(asyncio.to_thread(_line, queue, status, include)))
            if len(coming) >= _AHEAD:
                yield await coming.popleft()
        while coming:
            yield await coming.popleft()
    finally:
        for task in coming:
            task.cancel()


def _line(queue: AsyncOcrQueue, status: JobStatus, include: Include) -> bytes:
    told: dict[str, object] = {"custom_id": status.name, "id": status.id, "state": status.state}
    if status.error is not None:
        told["error"] = status.error.model_dump(mode="json")
    if include == "none" or status.state not in WITH_RESULT or status.result is None:
        return _written(told)
    try:
        stored = queue.storage.read_uri(status.result)
        if include == "text":
            return _written({**told, "text": document_for_app(stored).text})
        # as it is stored; in JSON a line break within a text is an escape
        return _written(told)[:-2] + b',"document":' + stored.replace(b"\n", b" ") + b"}\n"
    except OcrQueueError as error:
        return _written({**told, "error": error.info.model_dump(mode="json")})


def _written(told: dict[str, object]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
