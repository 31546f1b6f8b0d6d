"""Waiting for a job on behalf of a client: until it has ended, the time is up, the client has gone, or this replica
is told to end."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.errors import JobUnknown, JobWaitTimeout


async def wait_for_end(request: Request, status: JobStatus, seconds: float) -> JobStatus:
    """The job after that. All waits of a replica share two connections to Redis. Raises JobUnknown."""
    if status.finished or seconds <= 0:
        return status
    queue: AsyncOcrQueue = request.app.state.queue
    waiting = asyncio.ensure_future(queue.job(status.id).wait(seconds))
    others = [asyncio.ensure_future(each) for each in (_gone(request), request.app.state.ending.wait())]
    try:
        await asyncio.wait([waiting, *others], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
    except (JobWaitTimeout, JobUnknown):  # what it is, or why it is unknown, is asked anew
        pass
    finally:
        await _end(waiting, *others)
    return await queue.status(status.id)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
