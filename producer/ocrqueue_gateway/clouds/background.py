"""Work that goes on after the answer, while this replica serves: of a kind that another one can take up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from fastapi import FastAPI

_LOG = logging.getLogger("ocrqueue_gateway")


class Background:
    """Of one replica: each piece of work by its name, once at a time."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> asyncio.Task[None]:
        """Unless it is under way; what it raises is told to the log."""
        if (task := self._tasks.get(name)) is None:
            task = self._tasks[name] = asyncio.create_task(work(), name=name)
            task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task.get_name(), None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("%s", task.get_name(), exc_info=error)


@asynccontextmanager
async def working_in_background(app: FastAPI) -> AsyncIterator[None]:
    app.state.background = Background()
    try:
        yield
    finally:
        await app.state.background.close()
