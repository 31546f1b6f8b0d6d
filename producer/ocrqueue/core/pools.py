"""Pools of connections to Redis: whatever here speaks to Redis has its connections from one of these.

Whoever asks is told within the setting `redis_timeout_s` that Redis does not answer. One attempt takes a third of it,
so that a connection that has died unnoticed (an idle one that a firewall forgot) costs time and no error: the second
attempt goes through a new one. Every script may therefore run twice, and is written for it. An attempt in which the
event loop itself stood still is none: what it has missed says nothing of Redis.

Which server is the primary can change: by Sentinels, or by a name that resolves again. A connection to one that takes
no writes any more is given up like one that is lost, and the next one goes to whoever is the primary by then.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import redis
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import MasterDownError, ReadOnlyError
from redis.retry import Retry

from ocrqueue.core.loop_standstill import LoopStandstill
from ocrqueue.core.pool_room import WithRoom
from ocrqueue.core.sentinels import async_sentinel_pool, sentinel_pool
from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import ClientSettings
from ocrqueue.settings.redis_url import place_of, sentinels_of

Answer = TypeVar("Answer")

_RETRIES: Final = 1
_MOST_STANDSTILLS: Final = 3
"""Of an event loop, in one attempt, which is made again after each."""
_ONE_ATTEMPT: Final = 0.33
"""Share of `redis_timeout_s` in which a connection must be made, and the same for an answer."""
_NO_PRIMARY: Final = [ReadOnlyError, MasterDownError]
"""Errors of a server that is a replica now: its connection is closed, and a new one tried, as with a lost one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which Redis was asked, without user and password, and whether somebody has chosen it."""

    place: str
    is_default: bool


_ASKED: Final = "asked_by_ocrqueue"


def asked(error: BaseException | None) -> Asked | None:
    """Of what redis-py has raised, or of what it has raised that for."""
    while error is not None:
        if isinstance(found := error.__dict__.get(_ASKED), Asked):
            return found
        error = error.__cause__ or error.__context__
    return None


class _Budget:
    """Time for a call and its retries: redis-py retries connecting, health checks and commands, one in the other.

    Each connection has a copy of its own, and one call at a time.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._asked = Asked(
            place_of(settings.redis_url.get_secret_value()).removesuffix("/0"),
            is_default="redis_url" not in settings.model_fields_set,
        )
        self._seconds = settings.redis_timeout_s * (1 - _ONE_ATTEMPT)
        self._depth = 0
        self._last_start = 0.0

    def enough(self, _: Exception) -> bool:
        """Whether another attempt would end in time."""
        return time.monotonic() <= self._last_start

    def extend(self, seconds: float) -> None:
        """So long nobody could have heard an answer."""
        self._last_start += seconds

    def __enter__(self) -> None:
        if self._depth == 0:
            self._last_start = time.monotonic() + self._seconds
        self._depth += 1

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._depth -= 1
        if isinstance(error, redis.exceptions.RedisError | OSError):
            error.__dict__[_ASKED] = self._asked


class _RetryInTime(Retry):
    def __init__(self, settings: ClientSettings) -> None:
        super().__init__(_backoff(), _RETRIES)
        self.update_supported_errors(_NO_PRIMARY)
        self._budget = _Budget(settings)

    def call_with_retry(
        self,
        do: Callable[[], Answer],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Answer:
        with self._budget:
            return super().call_with_retry(do, fail, is_retryable or self._budget.enough, with_failure_count)


class _AsyncRetryInTime(AsyncRetry):
    def __init__(self, settings: ClientSettings) -> None:
        super().__init__(_backoff(), _RETRIES)
        self.update_supported_errors(_NO_PRIMARY)
        self._budget = _Budget(settings)
        self._attempt_s = settings.redis_timeout_s * _ONE_ATTEMPT

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[Answer]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Answer:
        async def attempt() -> Answer:
            for _ in range(_MOST_STANDSTILLS):
                with LoopStandstill(2 * self._attempt_s) as standstill:
                    try:
                        return await do()
                    except (redis.exceptions.TimeoutError, TimeoutError) as error:
                        if standstill.late_s < self._attempt_s / 2:
                            raise
                        missed = error
                self._budget.extend(standstill.late_s)
                await (fail(missed, 0) if with_failure_count else fail(missed))
            return await do()

        with self._budget:
            return await super().call_with_retry(attempt, fail, is_retryable or self._budget.enough, with_failure_count)


def _backoff() -> ExponentialWithJitterBackoff:
    return ExponentialWithJitterBackoff(base=0.1, cap=0.2)


def connection_pool(settings: ClientSettings, **options: Any) -> redis.ConnectionPool:
    """Connects at the first command. `options` of its connections stand in for the usual ones."""
    url = settings.redis_url.get_secret_value()
    given = {**_limits(settings), "retry": _RetryInTime(settings), **options}
    with _url_errors():
        if (sentinels := sentinels_of(url)) is None:
            pool = redis.ConnectionPool.from_url(url, **given)
        else:
            pool = sentinel_pool(sentinels, settings.redis_timeout_s * _ONE_ATTEMPT, **given)
        _check_options(pool)
    return pool


def async_connection_pool(settings: ClientSettings) -> redis.asyncio.ConnectionPool:
    """The same for asyncio, where callers wait for a connection."""
    url = settings.redis_url.get_secret_value()
    given = {**_limits(settings), "retry": _AsyncRetryInTime(settings)}
    with _url_errors():
        if (sentinels := sentinels_of(url)) is None:
            pool = WithRoom.from_url(url, **given)
        else:
            pool = async_sentinel_pool(sentinels, settings.redis_timeout_s * _ONE_ATTEMPT, **given)
        _check_options(pool)
    pool.patience_s = settings.redis_timeout_s
    return pool


def _check_options(pool: redis.ConnectionPool | redis.asyncio.ConnectionPool) -> None:
    """redis-py looks at most options of the URL when it makes the first connection. One that is not connected costs
    nothing, and a wrong option is found before the first call."""
    if pool.connection_kwargs.get("decode_responses"):
        raise ValueError("answers are bytes")
    of_sentinels = {"connection_pool": pool} if hasattr(pool, "sentinel_manager") else {}
    pool.connection_class(**{**pool.connection_kwargs, **of_sentinels})


@contextmanager
def _url_errors() -> Iterator[None]:
    """Turn what redis-py says of an option of the URL into SettingsInvalid, without a word of the URL."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, redis.exceptions.RedisError):
        raise SettingsInvalid(
            "redis_url has an option that redis-py does not know, or that has a wrong value.",
            remedy="Correct what follows the `?` in OCRQUEUE_REDIS_URL, or leave it out.",
        ) from None


def _limits(settings: ClientSettings) -> dict[str, Any]:
    return {
        "socket_connect_timeout": settings.redis_timeout_s * _ONE_ATTEMPT,
        "socket_timeout": settings.redis_timeout_s * _ONE_ATTEMPT,
        "health_check_interval": 25,
        # half of a character, as in an argument that is no UTF-8, is in no id: it is asked for, and not found
        "encoding_errors": "replace",
        "max_connections": settings.redis_max_connections,
    }
