"""Connections to Redis, and its failures as errors of ocrqueue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import Settings

_RETRIES = 1


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "socket_timeout": settings.redis_timeout_s,
        "socket_connect_timeout": settings.redis_timeout_s,
        "health_check_interval": 25,
    }


def _backoff() -> ExponentialWithJitterBackoff:
    return ExponentialWithJitterBackoff(base=0.1, cap=0.5)


def connect(settings: Settings) -> redis.Redis:
    """A client with a pool of its own; connects at the first command."""
    return redis.Redis.from_url(
        settings.redis_url.get_secret_value(), retry=Retry(_backoff(), _RETRIES), **_options(settings)
    )


def connect_async(settings: Settings) -> redis.asyncio.Redis:
    """The same for asyncio."""
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        settings.redis_url.get_secret_value(), retry=AsyncRetry(_backoff(), _RETRIES), **_options(settings)
    )
    return client


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
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise BrokerUnavailable(f"Redis does not answer ({type(error).__name__}).") from error
    except (redis.exceptions.ReadOnlyError, redis.exceptions.ClusterDownError) as error:
        raise BrokerUnavailable(f"Redis takes no writes now ({type(error).__name__}).") from error
