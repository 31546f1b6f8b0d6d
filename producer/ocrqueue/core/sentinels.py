"""redis-py's Sentinel support, with what it leaves open.

A primary that was cut off or frozen takes itself for one when it is back, for some ten seconds, until a Sentinel tells
it. Who was about to connect to it meanwhile, or had a question on its way, must not go on with it: it knows nothing of
what the next primary was told. So the Sentinels are asked once more when a connection stands, and a connection to
another server than the primary of the moment is not used again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import redis
import redis.asyncio
from redis.asyncio import sentinel as aio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as LostConnection
from redis.retry import Retry
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from ocrqueue.core.pool_room import WithRoom
from ocrqueue.settings.redis_url import Sentinels

_UNNAMED: Final = "No Sentinel names a primary that is up."
_CLOSED: Final = "The client was closed meanwhile."
_CHANGED: Final = "Another server has become the primary meanwhile."


class _Sentinels(Sentinel):
    """They are asked when a connection is made, which is seldom: none to them is kept that could die unnoticed."""

    def discover_master(self, service_name: str) -> Any:
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        except MasterNotFoundError:
            # its own text shows whole connections, and that ends in logs
            raise MasterNotFoundError(_UNNAMED) from None
        finally:
            for each in self.sentinels:
                # another thread may be in the middle of the same question
                each.connection_pool.disconnect(inuse_connections=False)


class _AsyncSentinels(aio.Sentinel):
    """The same for asyncio, where tasks ask by the hundred at once.

    One question is asked at a time: redis-py's pools lose connections, unclosed, that are closed while others are made.
    Its answer is for all who came before it was asked, so that nobody has an older one than asked for.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Any] | None = None
        """The question that is not asked yet."""
        self._questions: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def discover_master(self, service_name: str) -> Any:
        if self._is_closed:
            raise LostConnection(_CLOSED)
        if self._next is None:
            # not by create_task(): an eager one would be asked before others can join it
            self._next = asyncio.Task(self._ask(service_name))
            self._questions.add(self._next)
            self._next.add_done_callback(self._forget)
        question = self._next
        try:
            # others wait for it, too
            return await asyncio.shield(question)
        except asyncio.CancelledError:
            asking = asyncio.current_task()
            if question.cancelled() and asking is not None and not asking.cancelling():
                raise LostConnection(_CLOSED) from None
            raise

    async def _ask(self, service_name: str) -> Any:
        async with self._turn:
            self._next = None
            try:
                return await super().discover_master(service_name)
            except aio.MasterNotFoundError:
                raise aio.MasterNotFoundError(_UNNAMED) from None
            finally:
                for each in self.sentinels:
                    await each.connection_pool.disconnect()

    def _forget(self, question: asyncio.Task[Any]) -> None:
        self._questions.discard(question)
        if self._next is question:
            self._next = None
        if not question.cancelled():
            # where nobody waits any more, asyncio would call it an error that nobody has looked at
            question.exception()

    async def aclose(self) -> None:
        """Of those who asked, some may have given up before the answer came. Nobody asks any more."""
        self._is_closed = True
        for question in tuple(self._questions):
            question.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)


class _Connection(SentinelManagedConnection):
    """Stands once the Sentinels have named its server before and after."""

    def connect_to(self, address: tuple[str, int]) -> None:
        super().connect_to(address)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        try:
            if self.connection_pool.get_master_address() != address:
                raise LostConnection(_CHANGED)
        except BaseException:
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            raise


class _EncryptedConnection(_Connection, SentinelManagedSSLConnection):
    pass


class _AsyncConnection(aio.SentinelManagedConnection):
    """The same for asyncio."""

    async def connect_to(self, address: tuple[str, int]) -> None:
        await super().connect_to(address)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        try:
            if await self.connection_pool.get_master_address() != address:
                raise LostConnection(_CHANGED)
        except BaseException:
            await self.disconnect()
            raise


class _EncryptedAsyncConnection(_AsyncConnection, aio.SentinelManagedSSLConnection):
    pass


class _AsyncPool(WithRoom, aio.SentinelConnectionPool):
    """Keeps no connection to a server that is not the primary any more: the blocking one does so by itself."""

    async def release(self, connection: Any) -> None:
        if self.master_address != (connection.host, connection.port):
            await connection.disconnect()
        await super().release(connection)

    async def aclose(self) -> None:
        try:
            await self.sentinel_manager.aclose()
        finally:
            await super().aclose()


def sentinel_pool(sentinels: Sentinels, timeout_s: float, **options: Any) -> redis.ConnectionPool:
    """Of connections to the primary of the moment. `timeout_s`: in which all Sentinels together are to answer."""
    of_servers, of_sentinels = _options(sentinels, timeout_s)
    asked = _Sentinels(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        sentinels.addresses, sentinel_kwargs={**of_sentinels, "retry": Retry(NoBackoff(), 0)}
    )
    made = _EncryptedConnection if sentinels.encrypted else _Connection
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        sentinels.service, asked, **{**of_servers, **options, "connection_class": made}
    )


def async_sentinel_pool(sentinels: Sentinels, timeout_s: float, **options: Any) -> WithRoom:
    """The same for asyncio."""
    of_servers, of_sentinels = _options(sentinels, timeout_s)
    asked = _AsyncSentinels(sentinels.addresses, sentinel_kwargs={**of_sentinels, "retry": AsyncRetry(NoBackoff(), 0)})
    made = _EncryptedAsyncConnection if sentinels.encrypted else _AsyncConnection
    return _AsyncPool(sentinels.service, asked, **{**of_servers, **options, "connection_class": made})


def _options(sentinels: Sentinels, timeout_s: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """For connections to the servers, and to the Sentinels, by the names that redis-py has for them."""
    servers: dict[str, Any] = parse_url(sentinels.servers)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    # one is asked after the other
    each_s = timeout_s / len(sentinels.addresses)
    asked = {
        "username": servers.pop("sentinel_username", None),
        "password": servers.pop("sentinel_password", None),
        "socket_connect_timeout": each_s,
        "socket_timeout": each_s,
        "ssl": sentinels.encrypted,
        **{name: value for name, value in servers.items() if name.startswith("ssl_")},
    }
    return servers, asked
