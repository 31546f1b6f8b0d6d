"""Actions on many jobs that somebody asked for and does not wait for: who has time does them, in steps, under a lease.

Whoever falls silent loses the lease, and the next one goes on: what was done stays done and is not met again, and the
audit's count of the action, which has the same id, goes on as well.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from ocrqueue.core.audit import begin_run, counted, end_run, name_of_run, redis_us
from ocrqueue.core.bulk import Bulk, BulkResult
from ocrqueue.core.job_filter import JobFilter
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Commands, Move, Request, Steps
from ocrqueue.errors import (
    ActionsFull,
    ActionUnknown,
    BrokerUnavailable,
    ErrorInfo,
    FilterMissing,
    InternalError,
    OcrQueueError,
)

Requested = Literal["cancel", "replay", "delete"]
_MOST: Final = 1000
"""Unfinished at a time: what bounds the memory that they take."""
_LEASE_S: Final = 30.0
_MOST_TAKES: Final = 20
"""An action that whoever takes it does not survive is given up."""
Item = TypeVar("Item")


class ActionStatus(BaseModel):
    """An action on many jobs, and how far it is."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    id: str
    action: Requested
    filter: Mapping[str, JsonValue] = {}
    """Of which jobs; empty: of all."""
    dry_run: bool = False
    """Only counts."""
    state: Literal["queued", "running", "done", "failed"]
    matched: int | None = None
    """How many jobs it was about when it was counted; None: it has not been."""
    jobs: int = 0
    """How many it has changed so far."""
    still_running: int = 0
    """Of a deletion: jobs that were asked to stop, and had not in time. The same action deletes them later."""
    left_in_storage: int = 0
    """For a deletion: jobs that still have something in storage. A worker removes it in a while."""
    error: ErrorInfo | None = None
    """Why it failed, or why something is left in storage."""
    who: str
    owner: str | None = None
    """The tenant whose jobs alone it may touch; None: an operator's."""
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TakenAction:
    """An action that is this caller's for as long as it tells of itself."""

    id: str
    token: str
    action: Requested
    wanted: JobFilter
    who: str
    dry_run: bool
    until_ms: int
    takes: int
    is_counted: bool


def ask(
    arguments: ScriptArguments,
    action: Requested,
    wanted: JobFilter,
    *,
    who: str,
    owner: str | None,
    all_jobs: bool = False,
    dry_run: bool = False,
) -> Steps[ActionStatus]:
    """Have it done. Jobs that are submitted from now on are not its. Raises FilterMissing, ActionsFull."""
    if not wanted.names_any and not all_jobs:
        raise FilterMissing(f"To {action} jobs, say which.")
    now_us = yield from redis_us()
    message = wanted.to_message()
    # the audit tells how many were named
    noted = message if wanted.ids is None else {**message, "ids": len(wanted.ids)}
    if dry_run:
        action_id = name_of_run(now_us)
    else:
        action_id = yield from begin_run(arguments, action, noted, who, now_us)
    fields: dict[str, str | int] = {
        "action": action,
        "filter": json.dumps(message, separators=(",", ":")),
        "who": who,
        "dry_run": int(dry_run),
        "created_at": now_us // 1000,
    }
    if owner is not None:
        fields["owner"] = owner
    if not (yield Move("ask_action", arguments.ask_action(action_id, _MOST, fields))):
        if not dry_run:
            yield from end_run(arguments, action_id, "interrupted")
        raise ActionsFull()
    return (yield from action_status(arguments, action_id))


def action_status(arguments: ScriptArguments, action_id: str) -> Steps[ActionStatus]:
    """How far it is. Raises ActionUnknown."""
    stored, jobs = yield Commands(
        [("HGETALL", arguments.keys.action(action_id)), ("HGET", arguments.keys.audit(), f"{action_id}:jobs")]
    )
    if not stored:
        raise ActionUnknown(f"No action {ascii(action_id)[1:-1][:60]}.")
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in stored.items()}
    try:
        return _status(action_id, fields, int(jobs or 0))
    except (ValueError, KeyError, TypeError, OverflowError):  # pydantic's own error is a ValueError
        raise ActionUnknown(
            f"This version cannot read the action {ascii(action_id)[1:-1][:60]}.",
            remedy="A newer version may have written it: ask that one.",
        ) from None


def _status(action_id: str, fields: Mapping[str, str], jobs: int) -> ActionStatus:
    told = json.loads(fields.get("outcome", "{}"))
    return ActionStatus.model_validate(
        {
            "jobs": jobs,
            "state": "running" if "token" in fields else "queued",
            **told,
            "id": action_id,
            "action": fields["action"],
            "filter": json.loads(fields["filter"]),
            "dry_run": fields["dry_run"] == "1",
            "matched": fields.get("matched"),
            "who": fields["who"],
            "owner": fields.get("owner"),
            "created_at": _time(fields["created_at"]),
            "ended_at": _time(fields["ended_at"]) if "ended_at" in fields else None,
        }
    )


def take(arguments: ScriptArguments) -> Steps[TakenAction | None]:
    """The next one that nobody has, if there is one."""
    token = uuid.uuid4().hex
    answer = yield Move("take_action", arguments.take_action(token, _LEASE_S))
    if not answer:
        return None
    named, flat = answer
    action_id = named.decode()
    fields = {flat[at].decode(): flat[at + 1].decode(errors="replace") for at in range(0, len(flat), 2)}
    try:
        return TakenAction(
            action_id,
            token,
            action=cast("Requested", fields["action"]),
            wanted=JobFilter.model_validate_json(fields["filter"]),
            who=fields["who"],
            dry_run=fields["dry_run"] == "1",
            until_ms=int(fields["created_at"]),
            takes=int(fields["takes"]),
            is_counted="matched" in fields,
        )
    except (KeyError, ValueError, ValidationError):
        # a newer version's: what this one does not know it does not do
        yield from _end(arguments, action_id, token, {"state": "failed", "error": _info(InternalError())})
        return None


def carry_out(
    arguments: ScriptArguments, taken: TakenAction, bulk: Bulk, stopping: Callable[[], bool] = lambda: False
) -> Steps[None]:
    """Do it, or what is left of it. Raises BrokerUnavailable; then somebody goes on with it.

    Where `stopping` says so it is left to others at once.
    """
    if taken.takes > _MOST_TAKES:
        error = InternalError(f"It was begun {_MOST_TAKES} times, and not ended.")
        yield from _end(arguments, taken.id, taken.token, {"state": "failed", "error": _info(error)})
        return
    try:
        outcome = yield from _leased(arguments, taken, _steps(arguments, taken, bulk), stopping)
    except BrokerUnavailable:
        raise
    except OcrQueueError as error:
        outcome = {"state": "failed", "error": _info(error)}
    if outcome is not None:
        yield from _end(arguments, taken.id, taken.token, outcome)


def _steps(arguments: ScriptArguments, taken: TakenAction, bulk: Bulk) -> Steps[dict[str, Any]]:
    if not taken.is_counted:
        matched = yield from bulk.count(taken.wanted, taken.until_ms)
        told = arguments.keep_action(taken.id, taken.token, _LEASE_S, {"matched": matched})
        yield Move("keep_action", told)
    if taken.dry_run:
        return {"state": "done"}
    came_to: BulkResult = yield from bulk.go_on(taken.wanted, taken.id, taken.until_ms)
    jobs = yield from counted(arguments, taken.id)
    return {
        "state": "done",
        "jobs": jobs,
        "still_running": came_to.still_running,
        "left_in_storage": came_to.left_in_storage,
        "error": came_to.storage_error and came_to.storage_error.model_dump(mode="json"),
    }


def _leased(
    arguments: ScriptArguments, taken: TakenAction, steps: Steps[Item], stopping: Callable[[], bool]
) -> Steps[Item | None]:
    """What the steps return; None where they were left to somebody else. The lease is renewed between two steps."""

    def keep(lease_s: float) -> Request:
        return Move("keep_action", arguments.keep_action(taken.id, taken.token, lease_s, {}))

    told_at = time.monotonic()
    answer: object = None
    error: Exception | None = None
    try:
        while True:
            if stopping():
                yield keep(0)
                return None
            if time.monotonic() - told_at > _LEASE_S / 3:
                if not (yield keep(_LEASE_S)):
                    return None
                told_at = time.monotonic()
            try:
                request = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as stop:
                ended: Item = stop.value
                return ended
            try:
                answer, error = (yield request), None
            except Exception as raised:
                error = raised
    finally:
        # whoever goes on counts in the same line of the audit: it is not interrupted
        steps.close()


def _end(arguments: ScriptArguments, action_id: str, token: str, outcome: Mapping[str, JsonValue]) -> Steps[None]:
    told = {name: value for name, value in outcome.items() if value}
    fields = {"outcome": json.dumps(told, separators=(",", ":"))}
    yield Move("end_action", arguments.end_action(action_id, token, fields))


def _info(error: OcrQueueError) -> Any:
    return error.info.model_dump(mode="json", exclude_defaults=True)


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
