"""Pools of asyncio whose callers wait for a connection where all are in use: tasks ask by the thousand at once."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio
from redis.exceptions import MaxConnectionsError


class WithRoom(redis.asyncio.ConnectionPool):
    """For one event loop. A caller that has waited for `patience_s` gets MaxConnectionsError."""

    patience_s: float

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._room = asyncio.Semaphore(self.max_connections)
        self._taken: set[int] = set()

    async def get_connection(self, *args: Any, **options: Any) -> Any:
        try:
            async with asyncio.timeout(self.patience_s):
                await self._room.acquire()
        except TimeoutError:
            raise MaxConnectionsError from None
        try:
            connection = await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]  # of redis-py
        except BaseException:
            self._room.release()
            raise
        self._taken.add(id(connection))
        return connection

    async def release(self, connection: Any) -> None:
        try:
            await super().release(connection)
        finally:
            # redis-py releases one here, too, that could not connect, and that nobody got
            if id(connection) in self._taken:
                self._taken.discard(id(connection))
                self._room.release()
