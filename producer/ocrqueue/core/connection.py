"""Connections to Redis, and its failures as errors of ocrqueue.

Whoever asks is told within the setting `redis_timeout_s` that Redis does not answer. One attempt takes a third of it,
so that a connection that has died unnoticed (an idle one that a firewall forgot) costs time and no error: the second
attempt goes through a new one. Every script may therefore run twice, and is written for it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import redis
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import Settings

Answer = TypeVar("Answer")

_UNABLE: Final = {
    "MISCONF": "It cannot save its data: look at its log, and at the space on its disk.",
    "BUSY": "A script holds it up: look at its log.",
    "NOREPLICAS": "It has too few replicas to take writes: look at them, or at min-replicas-to-write.",
}
"""What Redis says when the fault is its own, and what to do."""
_RETRIES: Final = 1
_ONE_ATTEMPT: Final = 0.33
"""Share of `redis_timeout_s` in which a connection must be made, and the same for an answer."""


class _Budget:
    """Time for a call and its retries: redis-py retries connecting, health checks and commands, one in the other.

    Each connection has a copy of its own, and one call at a time.
    """

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.redis_timeout_s * (1 - _ONE_ATTEMPT)
        self._depth = 0
        self._last_start = 0.0

    def enough(self, _: Exception) -> bool:
        """Whether another attempt would end in time."""
        return time.monotonic() <= self._last_start

    def __enter__(self) -> None:
        if self._depth == 0:
            self._last_start = time.monotonic() + self._seconds
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1


class _RetryInTime(Retry):
    def __init__(self, settings: Settings) -> None:
        super().__init__(_backoff(), _RETRIES)
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
    def __init__(self, settings: Settings) -> None:
        super().__init__(_backoff(), _RETRIES)
        self._budget = _Budget(settings)

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[Answer]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Answer:
        with self._budget:
            return await super().call_with_retry(do, fail, is_retryable or self._budget.enough, with_failure_count)


def _backoff() -> ExponentialWithJitterBackoff:
    return ExponentialWithJitterBackoff(base=0.1, cap=0.2)


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "socket_connect_timeout": settings.redis_timeout_s * _ONE_ATTEMPT,
        "socket_timeout": settings.redis_timeout_s * _ONE_ATTEMPT,
        "health_check_interval": 25,
    }


def connect(settings: Settings) -> redis.Redis:
    """A client with a pool of its own; connects at the first command."""
    return redis.Redis.from_url(
        settings.redis_url.get_secret_value(), retry=_RetryInTime(settings), **_options(settings)
    )


def connect_async(settings: Settings) -> redis.asyncio.Redis:
    """The same for asyncio."""
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        settings.redis_url.get_secret_value(), retry=_AsyncRetryInTime(settings), **_options(settings)
    )
    return client


def of_right_type(answers: Sequence[Any], otherwise: object) -> list[Any]:
    """Of a pipeline that was not to raise: `otherwise` for keys that others have put a value of another type at.

    Any other error is raised.
    """
    found = []
    for answer in answers:
        if isinstance(answer, redis.exceptions.ResponseError) and str(answer).startswith("WRONGTYPE"):
            found.append(otherwise)
        elif isinstance(answer, Exception):
            raise answer
        else:
            found.append(answer)
    return found


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn what redis-py raises into BrokerUnavailable."""
    try:
        yield
    except redis.exceptions.AuthenticationError:
        raise BrokerUnavailable(
            "Redis refuses the user or password.", remedy="Correct the credentials in OCRQUEUE_REDIS_URL."
        ) from None
    except redis.exceptions.NoPermissionError as error:
        raise BrokerUnavailable(
            "Redis does not permit this command to the user.", remedy="Grant it: docs/security.md has the ACL rule."
        ) from error
    except redis.exceptions.OutOfMemoryError:
        raise BrokerUnavailable(
            "Redis has reached its memory limit and takes no new jobs.",
            remedy="Wait until workers have caught up, or raise Redis's maxmemory.",
        ) from None
    except redis.exceptions.BusyLoadingError:
        raise BrokerUnavailable("Redis is loading its data.", remedy="Wait until it has.") from None
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise BrokerUnavailable(f"Redis does not answer ({type(error).__name__}).") from error
    except (redis.exceptions.ReadOnlyError, redis.exceptions.ClusterDownError) as error:
        raise BrokerUnavailable(f"Redis takes no writes now ({type(error).__name__}).") from error
    except redis.exceptions.ResponseError as error:
        if "compiling script" in str(error):
            raise BrokerUnavailable(
                "Redis is too old: its scripts have no flags.", remedy="Use Redis 7.0 or newer, or Valkey."
            ) from error
        code = str(error).partition(" ")[0]
        if code not in _UNABLE:
            raise
        raise BrokerUnavailable(f"Redis cannot do its work now ({code}).", remedy=_UNABLE[code]) from error
