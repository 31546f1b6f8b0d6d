"""Clients of Redis, and its failures as errors of ocrqueue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis
import redis.asyncio
import redis.exceptions
from redis.asyncio.sentinel import MasterNotFoundError as NoPrimaryAsync
from redis.sentinel import MasterNotFoundError as NoPrimary

from ocrqueue.core.pools import asked, async_connection_pool, connection_pool
from ocrqueue.errors import BrokerRefused, BrokerUnavailable, ConnectionsExhausted
from ocrqueue.settings import ClientSettings

_UNABLE: Final = {
    "MISCONF": "It cannot save its data: look at its log, and at the space on its disk.",
    "BUSY": "A script holds it up: look at its log.",
    "NOREPLICAS": "It has too few replicas to take writes: look at them, or at min-replicas-to-write.",
    "UNKILLABLE": "A script holds it up: look at its log.",
    "TRYAGAIN": "Ask again.",
    "UNBLOCKED": "It has just become a replica: ask again.",
}
"""What Redis says when the fault is its own, and what to do."""

_NOT_CHOSEN: Final = (
    "OCRQUEUE_REDIS_URL is not set, and this is its default. Set it to the Redis of your installation, or start a "
    "whole system on this machine: `ocrqueue local`."
)


def connect(settings: ClientSettings, on_connect: Callable[[Any], None] | None = None) -> redis.Redis:
    """A client with a pool of its own; connects at the first command.

    `on_connect`: what each new connection does first; it is to call the connection's own `on_connect`.
    """
    return redis.Redis.from_pool(connection_pool(settings, redis_connect_func=on_connect))


def connect_async(settings: ClientSettings) -> redis.asyncio.Redis:
    """The same for asyncio."""
    return redis.asyncio.Redis.from_pool(async_connection_pool(settings))


def of_right_type(answers: Sequence[Any], otherwise: object) -> list[Any]:
    """Of a pipeline that was not to raise: `otherwise` for keys that others have put a value of another type at.

    Any other error is raised.
    """
    found = []
    for answer in answers:
        if isinstance(answer, redis.exceptions.ResponseError) and is_wrong_type(answer):
            found.append(otherwise)
        elif isinstance(answer, Exception):
            raise answer
        else:
            found.append(answer)
    return found


def is_wrong_type(error: redis.exceptions.ResponseError) -> bool:
    """Whether a key holds a value of another type than it was asked for; a pipeline's error names its command first."""
    return "WRONGTYPE" in str(error)


def fault_of_others(error: Exception) -> BrokerUnavailable | None:
    """Where others have put something else at a key of ocrqueue's, as an operator is to hear of it; else None.

    broker_errors() lets it through: a worker passes over what has such a key, and waits for nothing.
    """
    if not isinstance(error, redis.exceptions.ResponseError) or not is_wrong_type(error):
        return None
    return _lasting(
        BrokerUnavailable(
            "A key of ocrqueue's in Redis is of another type than ocrqueue has made it.",
            remedy="`ocrqueue check` names it. Remove it, and find out who writes to this Redis: apps that share one "
            "need databases or an OCRQUEUE_KEY_PREFIX of their own.",
        )
    )


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn what redis-py raises into BrokerUnavailable."""
    try:
        yield
    except redis.exceptions.AuthenticationError:
        raise _lasting(
            BrokerUnavailable(
                "Redis refuses the user or password.", remedy="Correct the credentials in OCRQUEUE_REDIS_URL."
            )
        ) from None
    except redis.exceptions.NoPermissionError as error:
        raise _lasting(
            BrokerUnavailable(
                "Redis does not permit this command to the user.", remedy="Grant it: docs/security.md has the ACL rule."
            )
        ) from error
    except redis.exceptions.OutOfMemoryError as error:
        raise BrokerUnavailable(
            "Redis has reached its memory limit and takes no new jobs.",
            remedy="Wait until workers have caught up, or raise Redis's maxmemory.",
        ) from error
    except redis.exceptions.BusyLoadingError:
        raise BrokerUnavailable("Redis is loading its data.", remedy="Wait until it has.") from None
    except (NoPrimary, NoPrimaryAsync) as error:
        raise BrokerUnavailable(
            "No Sentinel names a primary that is up.",
            remedy="A failover takes some seconds: ask again. If it persists, compare the Sentinels' addresses, the "
            "primary's name and sentinel_password in OCRQUEUE_REDIS_URL with theirs.",
        ) from error
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise _away(error) from error
    except (redis.exceptions.ReadOnlyError, redis.exceptions.ClusterDownError) as error:
        raise BrokerUnavailable(f"Redis takes no writes now ({type(error).__name__}).") from error
    except redis.exceptions.ResponseError as error:
        if (fault := _own_fault(error)) is None:
            raise
        raise fault from error


@contextmanager
def app_errors() -> Iterator[None]:
    """The same for apps, which are to meet no error of redis-py: what Redis refuses is BrokerRefused, and a key of
    others is what fault_of_others() says."""
    try:
        with broker_errors():
            yield
    except redis.exceptions.ResponseError as error:
        raise fault_of_others(error) or BrokerRefused() from error


def is_of_the_request(error: BaseException) -> bool:
    """Whether Redis may do what others ask of it all the same: of an error that app_errors() has raised."""
    cause = error.__cause__
    return isinstance(error, BrokerRefused) or (
        isinstance(cause, redis.exceptions.ResponseError) and is_wrong_type(cause)
    )


def is_refusal(error: BrokerUnavailable) -> bool:
    """Whether Redis has answered and does not do what was asked for now, which a new connection would not change."""
    cause = error.__cause__
    replaced = isinstance(cause, redis.exceptions.ReadOnlyError) or str(cause).startswith("UNBLOCKED")
    return isinstance(cause, redis.exceptions.ResponseError) and not replaced


def _own_fault(error: redis.exceptions.ResponseError) -> BrokerUnavailable | None:
    """None where the question was at fault."""
    said = str(error)
    if "executing script can't" in said or "executing the script" in said or "ACL failure in script" in said:
        return BrokerUnavailable(
            "Redis does not permit a command of its scripts to the user.",
            remedy="Grant it: docs/security.md has the ACL rule.",
        )
    if "compiling script" in str(error):
        return _lasting(
            BrokerUnavailable(
                "Redis is too old: its scripts have no flags.", remedy="Use Redis 7.0 or newer, or Valkey."
            )
        )
    if isinstance(error, redis.exceptions.NoScriptError):
        return BrokerUnavailable("Redis has forgotten a script.", remedy="Ask again: it is sent anew.")
    if "DB index is out of range" in str(error):
        return _lasting(
            BrokerUnavailable(
                "Redis has no database of this number.",
                remedy="Correct the number at the end of OCRQUEUE_REDIS_URL. Redis has the databases 0 to 15, unless "
                "its configuration says otherwise.",
            )
        )
    code = str(error).partition(" ")[0]
    if code not in _UNABLE:
        return None
    return BrokerUnavailable(f"Redis cannot do its work now ({code}).", remedy=_UNABLE[code])


def _away(error: Exception) -> BrokerUnavailable:
    if isinstance(error, redis.exceptions.MaxConnectionsError):
        return ConnectionsExhausted()
    what = type(error).__name__
    if (where := asked(error)) is None:
        return BrokerUnavailable(f"Redis does not answer ({what}).")
    return BrokerUnavailable(
        f"Redis at {where.place} does not answer ({what}).", remedy=_NOT_CHOSEN if where.is_default else None
    )


def _lasting(error: BrokerUnavailable) -> BrokerUnavailable:
    """Waiting will not cure it."""
    error.may_pass = False
    return error
