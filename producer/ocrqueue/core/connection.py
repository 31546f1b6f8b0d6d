"""Clients of Redis. redis-py is imported with this module, and this module with the first client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio

from ocrqueue.core.pools import async_connection_pool, connection_pool
from ocrqueue.settings import ClientSettings


def connect(settings: ClientSettings, on_connect: Callable[[Any], None] | None = None) -> redis.Redis:
    """A client with a pool of its own; connects at the first command.

    `on_connect`: what each new connection does first; it is to call the connection's own `on_connect`.
    """
    return redis.Redis.from_pool(connection_pool(settings, redis_connect_func=on_connect))


def connect_async(settings: ClientSettings) -> redis.asyncio.Redis:
    """The same for asyncio."""
    return redis.asyncio.Redis.from_pool(async_connection_pool(settings))
