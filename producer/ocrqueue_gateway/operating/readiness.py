"""Whether Redis and storage have answered lately: what a proxy or Kubernetes goes by."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ocrqueue.aio import AsyncOcrQueue, redis_of
from ocrqueue.core.redis_errors import broker_errors

_FRESH_S: Final = 2.0
"""What was asked so lately is not asked again, however many ask here."""
_LATELY_S: Final = 15.0
_PATIENCE_S: Final = 3.0
"""For which whoever asks here is kept waiting."""
_LOG: Final = logging.getLogger("ocrqueue_gateway")


class Readiness:
    """Of one replica. Each dependency is asked by one task at a time, however long it does not answer."""

    def __init__(self, queue: AsyncOcrQueue, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[str, Callable[[], Awaitable[object]]] = {
            "redis": lambda: _ping(queue),
            "storage": lambda: asyncio.to_thread(_check_storage, queue),
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._began: dict[str, float] = {}
        self._answered: dict[str, float] = {}

    async def check(self) -> Mapping[str, bool]:
        """By dependency, whether it has answered lately."""
        now = self._clock()
        for name in self._asked:
            task = self._tasks.get(name)
            if (task is None or task.done()) and now - self._began.get(name, -_FRESH_S) >= _FRESH_S:
                self._began[name] = now
                self._tasks[name] = asyncio.create_task(self._ask(name))
        await asyncio.wait(self._tasks.values(), timeout=_PATIENCE_S)
        now = self._clock()
        return {name: now - self._answered.get(name, -_LATELY_S) < _LATELY_S for name in self._asked}

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _ask(self, name: str) -> None:
        try:
            await self._asked[name]()
        except Exception as error:
            # its message may name hosts, which is for the log alone
            _LOG.warning("%s does not answer: %s", name, error)
            self._answered.pop(name, None)
        else:
            self._answered[name] = self._clock()


async def _ping(queue: AsyncOcrQueue) -> None:
    with broker_errors():
        await redis_of(queue).ping()


def _check_storage(queue: AsyncOcrQueue) -> None:
    # its client is made by the first who asks, which takes a while
    queue.storage.check()
