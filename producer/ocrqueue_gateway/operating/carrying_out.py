"""Each replica does actions on many jobs that were asked for, here or elsewhere, while it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import FastAPI

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import BrokerUnavailable
from ocrqueue_gateway.ending import is_ending

_LOOK_S: Final = 3.0
"""Between two looks for what was asked for elsewhere, or was left by another replica."""
_AT_ONCE: Final = 4
"""So that a long one does not hold up the others."""
_LOG: Final = logging.getLogger("ocrqueue_gateway")


@asynccontextmanager
async def carrying_out_actions(app: FastAPI, queue: AsyncOcrQueue) -> AsyncIterator[None]:
    """Within the block. What is not done at its end is left to other replicas."""
    app.state.action_asked = asyncio.Event()
    looking = asyncio.create_task(_look(app, queue), name="actions")
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


def wake(app: FastAPI) -> None:
    """An action was asked for here."""
    app.state.action_asked.set()


async def _look(app: FastAPI, queue: AsyncOcrQueue) -> None:
    running: set[asyncio.Task[bool]] = set()
    asked: asyncio.Event = app.state.action_asked
    try:
        while not is_ending(app):
            asked.clear()
            newest = asyncio.create_task(_next(app, queue))
            running.add(newest)
            newest.add_done_callback(running.discard)
            # one that takes its time has been taken, and there may be more
            await asyncio.wait({newest}, timeout=_LOOK_S)
            if newest.done() and not newest.result():
                with suppress(TimeoutError):
                    await asyncio.wait_for(asked.wait(), _LOOK_S)
            while len(running) >= _AT_ONCE:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _next(app: FastAPI, queue: AsyncOcrQueue) -> bool:
    try:
        return await queue.actions.carry_out_next(lambda: is_ending(app))
    except BrokerUnavailable:
        return False
    except Exception:
        _LOG.exception("an action on many jobs was cut off; a replica goes on with it")
        return False
