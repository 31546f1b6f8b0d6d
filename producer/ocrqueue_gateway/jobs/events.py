"""Server-sent events of one job: each step, its place in the queue while it waits, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.core.queue_places import QueuePlace
from ocrqueue.errors import KeyInvalid, OcrQueueError
from ocrqueue_gateway.access.authentication import is_still_good
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.ending import ENDING_S
from ocrqueue_gateway.jobs.view import JobView
from ocrqueue_gateway.problems import problem_of, told_to

_PLACE_S: Final = 2.0
"""Between two looks at the place of a job that waits."""
_KEY_S: Final = 5.0
"""Between two looks at the caller's key."""
_PING_S: Final = 15


def event_stream(request: Request, caller: Caller, status: JobStatus) -> EventSourceResponse:
    """It ends with the job, or with the caller's key.

    A client that comes again, with Last-Event-ID or not, begins with the job as it is."""
    return EventSourceResponse(_events(request, caller, status), ping=_PING_S, shutdown_grace_period=ENDING_S)


async def _events(request: Request, caller: Caller, status: JobStatus) -> AsyncIterator[ServerSentEvent]:
    queue: AsyncOcrQueue = request.app.state.queue
    ending = asyncio.ensure_future(request.app.state.ending.wait())
    place: QueuePlace | None = None
    revoked = asyncio.ensure_future(_until_revoked(request, caller))
    async with aclosing(queue.progress(status.id, None)) as steps:
        coming = asyncio.ensure_future(anext(steps))
        try:
            while True:
                pause_s = _PLACE_S if status.state == "queued" else None
                await asyncio.wait([coming, ending, revoked], timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
                if revoked.done():
                    revoked.result()
                if coming.done():
                    status = coming.result()
                    place = await queue.place(status.id) if status.state == "queued" else None
                    yield _event("end" if status.finished else "state", status, caller, place)
                    if status.finished:
                        return
                    coming = asyncio.ensure_future(anext(steps))
                elif ending.done():  # a browser comes again by itself, to another replica
                    return
                elif (found := await queue.place(status.id)) != place:
                    place = found
                    yield _event("place", status, caller, place)
        except OcrQueueError as error:
            problem = problem_of(told_to(request.scope, error.info), request.app.state.settings.errors_url)
            yield ServerSentEvent(problem.model_dump_json(exclude_none=True), event="error")
        except StopAsyncIteration:
            return
        finally:
            for task in (coming, ending, revoked):
                task.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration, OcrQueueError):
                    await task


async def _until_revoked(request: Request, caller: Caller) -> None:
    """Raises KeyInvalid once the caller's key is worth nothing, and BrokerUnavailable."""
    while await is_still_good(request, caller):
        await asyncio.sleep(_KEY_S)
    raise KeyInvalid()


def _event(name: str, status: JobStatus, caller: Caller, place: QueuePlace | None) -> ServerSentEvent:
    seen = f"{status.attempts}.{status.pages_done}.{status.state}"
    return ServerSentEvent(JobView.of(status, caller, place).model_dump_json(), event=name, id=seen)
