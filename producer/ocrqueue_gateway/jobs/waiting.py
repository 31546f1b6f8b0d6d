"""Waiting for a job on behalf of a client: until it has ended, the time is up, the client has gone, or this replica
is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue, AsyncSubmittedJob
from ocrqueue.core import JobStatus
from ocrqueue.errors import JobUnknown, JobWaitTimeout


async def wait_for_end(request: Request, status: JobStatus, seconds: float) -> JobStatus:
    """The job after that. All waits of a replica share two connections to Redis. Raises JobUnknown."""
    if status.finished or seconds <= 0:
        return status
    queue: AsyncOcrQueue = request.app.state.queue
    ends = await wait_for_ends(request, [queue.job(status.id)], seconds)
    return ends.get(status.id) or await queue.status(status.id)


async def wait_for_ends(request: Request, jobs: Sequence[AsyncSubmittedJob], seconds: float) -> Mapping[str, JobStatus]:
    """The same of several: those that have ended, by id."""
    ends: dict[str, JobStatus] = {}
    waiting = asyncio.ensure_future(_gather(request.app.state.queue, jobs, seconds, ends))
    others = [asyncio.ensure_future(each) for each in (_gone(request), request.app.state.ending.wait())]
    try:
        await asyncio.wait([waiting, *others], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
    except (JobWaitTimeout, JobUnknown):  # what it is, or why it is unknown, is asked anew
        pass
    finally:
        await _end(waiting, *others)
    return ends


async def _gather(
    queue: AsyncOcrQueue, jobs: Sequence[AsyncSubmittedJob], seconds: float, ends: dict[str, JobStatus]
) -> None:
    async for job, status in queue.watch(jobs, seconds):
        ends[job.id] = status


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
