"""As `sending`, for asyncio: images are taken and uploaded in threads, or awaited; Redis is spoken to in the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from itertools import islice
from typing import Any

from ocrqueue.core.admission import Admission
from ocrqueue.core.script_arguments import PIPELINE, Arguments
from ocrqueue.submitting.image_input import ImageInput
from ocrqueue.submitting.pending import LINGER_S, PendingJobs
from ocrqueue.submitting.sending import tell

AsyncRun = Callable[[Arguments], Awaitable[tuple[Any, int]]]


async def submit_in_order(
    images: Iterator[ImageInput] | AsyncIterable[ImageInput],
    pending: PendingJobs,
    admission: Admission,
    run: AsyncRun,
    *,
    all_there: bool,
) -> AsyncGenerator[list[str], None]:
    """Yields ids as their jobs are queued; see sending.submit_in_order."""
    loop = asyncio.get_running_loop()
    changed, room = asyncio.Event(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(changed.set)

    pending.wake = wake
    taking = asyncio.ensure_future(_take_all(images, pending, room))
    taking.add_done_callback(lambda _: changed.set())
    count = 0
    try:
        async with aclosing(_queued_in_order(pending, admission, run, taking, (changed, room))) as queued:
            async for job_ids in queued:
                count += len(job_ids)
                yield job_ids
    except Exception as error:
        pending.stop()
        room.set()
        if all_there:
            await asyncio.wait([taking])
        await asyncio.to_thread(pending.left)
        rest: Iterable[ImageInput] = images if all_there and isinstance(images, Iterator) else ()
        tell(error, count, [*admission.pending, *pending.left(), *rest])
        raise
    finally:
        taking.cancel()
        pending.close()


async def _queued_in_order(
    pending: PendingJobs,
    admission: Admission,
    run: AsyncRun,
    taking: asyncio.Future[None],
    events: tuple[asyncio.Event, asyncio.Event],
) -> AsyncGenerator[list[str], None]:
    """`events`: there may be something to send; there is room for more images."""
    changed, room = events
    while not taking.done():
        changed.clear()
        while admission.take(pending.take()):
            async for job_ids in _send(admission, run):
                yield job_ids
        room.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(pending.wait_s()):
                await changed.wait()
    fault = taking.exception()
    # what the images gave before one raised is queued, too
    while pending.first is not None:
        changed.clear()
        if pending.unmade is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await changed.wait()
        while admission.take(pending.take(now=True)):
            async for job_ids in _send(admission, run):
                yield job_ids
    if (fault := fault or admission.not_replicated()) is not None:
        raise fault


async def _send(admission: Admission, run: AsyncRun) -> AsyncGenerator[list[str], None]:
    while admission.pending:
        # in a thread: messages take the time of many rounds of the event loop
        yield admission.settle(*await run(await asyncio.to_thread(admission.call)))
        await asyncio.sleep(admission.pause_s())


async def _take_all(
    images: Iterator[ImageInput] | AsyncIterable[ImageInput], pending: PendingJobs, room: asyncio.Event
) -> None:
    if isinstance(images, AsyncIterable):
        async for image in images:
            await asyncio.to_thread(pending.add, image)
            if pending.takes_no_more:
                return
            await _room(pending, room)
        return
    while await asyncio.to_thread(_take, images, pending):
        await _room(pending, room)


def _take(images: Iterator[ImageInput], pending: PendingJobs) -> bool:
    """Take up to 500. Whether there may be more."""
    taken = 0
    for image in islice(images, PIPELINE):
        pending.add(image)
        taken += 1
        if pending.is_full or pending.takes_no_more:
            return not pending.takes_no_more
    return taken == PIPELINE


async def _room(pending: PendingJobs, room: asyncio.Event) -> None:
    while pending.is_full and not pending.takes_no_more:
        room.clear()
        await room.wait()
