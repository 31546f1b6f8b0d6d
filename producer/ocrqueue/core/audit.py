"""What was done to many jobs, or to workers: who, when, to which, and to how many; the last 1000 actions.

The steps of an action count in Redis what they have done as they do it: it is right also of one that was killed.
"""

from __future__ import annotations

import getpass
import json
import secrets
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from ocrqueue.core.job_filter import check_limit
from ocrqueue.core.keys import Keys
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Commands, Move, Steps
from ocrqueue.errors import BrokerUnavailable

Action = Literal["cancel", "replay", "drop", "delete"]
"""On many jobs."""
Noted = Literal["clean", "pause", "resume", "drain", "key made", "key revoked", "limit"]
"""What changes no job, or none that is known."""
_KEPT: Final = 1000
_LONGEST_TEXT: Final = 300
"""A tag has less."""
_FIELDS: Final = 3
"""One action: what it was, what it counted, how it ended."""


class AuditEntry(BaseModel):
    """One action on many jobs, the deletion of some, or what an operator did to all of a kind or to workers."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    at: datetime
    """By Redis's clock."""
    who: str
    action: Action | Noted
    filter: Mapping[str, JsonValue] = {}
    """What it was asked for, empty for all jobs; `ids`: how many were named. What was paused, or which workers."""
    jobs: int = 0
    """How many it has changed; of `clean`, those of which something was removed."""
    ended: Literal["done", "interrupted"] | None = None
    """None while it goes on, and where it was killed."""


def who_asks() -> str:
    """The user and the machine, as they call themselves."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def begin_run(
    arguments: ScriptArguments, action: Action | Noted, filter_: Mapping[str, Any], who: str, now_us: int
) -> Steps[str]:
    """Note what is about to be done; returns the name under which its steps count."""
    run = name_of_run(now_us)
    what = {_short(name): _short(value) for name, value in filter_.items()}
    told = json.dumps({"who": _short(who), "action": action, "filter": what}, separators=(",", ":"))
    fields = yield Move("note_action", arguments.note_action({run: told}))
    if fields > _FIELDS * (_KEPT + 1):
        keys = arguments.keys
        (names,) = yield Commands([("HKEYS", keys.audit())])
        runs = sorted({name.decode().partition(":")[0] for name in names})
        old = [field for name in runs[:-_KEPT] for field in (name, f"{name}:jobs", f"{name}:ended")]
        if old:
            yield Commands([("HDEL", keys.audit(), *old)])
    return run


def note_action(arguments: ScriptArguments, action: Noted, filter_: Mapping[str, Any], who: str | None) -> Steps[None]:
    """Add a line for an action that is already done. The action stands even if Redis is gone before it has the line."""
    try:
        now_us = yield from redis_us()
        run = yield from begin_run(arguments, action, filter_, who or who_asks(), now_us)
        yield from end_run(arguments, run, "done")
    except BrokerUnavailable:
        return


def redis_us() -> Steps[int]:
    """Microseconds, by Redis's clock."""
    ((seconds, microseconds),) = yield Commands([("TIME",)])
    return int(seconds) * 1_000_000 + int(microseconds)


def name_of_run(now_us: int) -> str:
    """Names are in the order of time: what one caller does after another thing comes after it."""
    return f"{now_us:016d}-{secrets.token_hex(4)}"


def end_run(arguments: ScriptArguments, run: str, how: Literal["done", "interrupted"], jobs: int = 0) -> Steps[None]:
    """`jobs`: of an action whose steps count nothing in Redis."""
    counted = {f"{run}:jobs": jobs} if jobs else {}
    yield Move("note_action", arguments.note_action({f"{run}:ended": how, **counted}))


def _short(value: Any) -> Any:
    """What is long is cut, and what is no text in UTF-8 replaced: an audit is of bounded size, and can be read."""
    if isinstance(value, str):
        text = value[:_LONGEST_TEXT].encode(errors="replace").decode()
        return text if len(value) <= _LONGEST_TEXT else f"{text}..."
    return [_short(each) for each in value] if isinstance(value, list) else value


def counted(arguments: ScriptArguments, run: str) -> Steps[int]:
    """How many jobs its steps have changed so far."""
    (jobs,) = yield Commands([("HGET", arguments.keys.audit(), f"{run}:jobs")])
    return int(jobs or 0)


def forget_run(arguments: ScriptArguments, run: str) -> Steps[None]:
    """It has done nothing that anybody is to be told of."""
    yield Commands([("HDEL", arguments.keys.audit(), run, f"{run}:jobs", f"{run}:ended")])


def audit(keys: Keys, limit: int) -> Steps[list[AuditEntry]]:
    """The newest first. Raises FilterInvalid."""
    check_limit(limit)
    (stored,) = yield Commands([("HGETALL", keys.audit())])
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in stored.items()}
    runs = sorted((name for name in fields if ":" not in name), reverse=True)
    return [entry for run in runs[:limit] if (entry := _entry(run, fields)) is not None]


def _entry(run: str, fields: Mapping[str, str]) -> AuditEntry | None:
    try:
        at = datetime.fromtimestamp(int(run.partition("-")[0]) / 1_000_000, UTC)
        told = {**json.loads(fields[run]), "at": at, "jobs": fields.get(f"{run}:jobs", 0)}
        return AuditEntry.model_validate({**told, "ended": fields.get(f"{run}:ended")})
    except (ValueError, TypeError, ValidationError):
        return None
