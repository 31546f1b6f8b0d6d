"""What redis-py raises, told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis.exceptions
from redis.asyncio.sentinel import MasterNotFoundError as NoPrimaryAsync
from redis.sentinel import MasterNotFoundError as NoPrimary

from ocrqueue.core.pools import asked
from ocrqueue.errors import BrokerRefused, BrokerUnavailable, ConnectionsExhausted

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


def fault_of(error: Exception) -> BrokerUnavailable | None:
    """What an app is told of a Redis that is away or unable; None where it is neither, and the question was at fault.

    Its `__cause__` is the error, where that says more.
    """
    fault: BrokerUnavailable | None
    match error:
        case redis.exceptions.AuthenticationError():
            return _lasting(
                BrokerUnavailable(
                    "Redis refuses the user or password.", remedy="Correct the credentials in OCRQUEUE_REDIS_URL."
                )
            )
        case redis.exceptions.BusyLoadingError():
            return BrokerUnavailable("Redis is loading its data.", remedy="Wait until it has.")
        case redis.exceptions.NoPermissionError():
            fault = _lasting(
                BrokerUnavailable(
                    "Redis does not permit this command to the user.",
                    remedy="Grant it: docs/security.md has the ACL rule.",
                )
            )
        case redis.exceptions.OutOfMemoryError():
            fault = BrokerUnavailable(
                "Redis has reached its memory limit and takes no new jobs.",
                remedy="Wait until workers have caught up, or raise Redis's maxmemory.",
            )
        case NoPrimary() | NoPrimaryAsync():
            fault = BrokerUnavailable(
                "No Sentinel names a primary that is up.",
                remedy="A failover takes some seconds: ask again. If it persists, compare the Sentinels' addresses, "
                "the primary's name and sentinel_password in OCRQUEUE_REDIS_URL with theirs.",
            )
        case redis.exceptions.ConnectionError() | redis.exceptions.TimeoutError() | OSError():
            fault = _away(error)
        case redis.exceptions.ReadOnlyError() | redis.exceptions.ClusterDownError():
            fault = BrokerUnavailable(f"Redis takes no writes now ({type(error).__name__}).")
        case redis.exceptions.ResponseError():
            fault = _own_fault(error)
        case _:
            fault = None
    if fault is not None:
        fault.__cause__ = error
    return fault


def refusal_of(error: Exception) -> BrokerUnavailable | BrokerRefused | None:
    """Of what fault_of() has let through, as an app is to hear of it; None where redis-py has not raised it."""
    if not isinstance(error, redis.exceptions.ResponseError):
        return None
    return fault_of_others(error) or BrokerRefused()


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
    # a pipeline's error names its command first
    code = said.rpartition(" of pipeline caused error: ")[2].partition(" ")[0]
    if code not in _UNABLE:
        return None
    return BrokerUnavailable(f"Redis cannot do its work now ({code}).", remedy=_UNABLE[code])


def _away(error: Exception) -> BrokerUnavailable:
    if isinstance(error, redis.exceptions.MaxConnectionsError):
        return ConnectionsExhausted()
    if "max number of clients" in str(error):
        return BrokerUnavailable(
            "Redis has as many connections as it may have.",
            remedy="End clients that nobody needs, or raise Redis's maxclients.",
        )
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
