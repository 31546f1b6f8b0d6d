"""A queue's entry as Celery may have it: made anew from the few parts of it that are meant to be acted on.

kombu and Celery take for granted that a queue's list holds their own envelopes, and do what those say: send further
tasks to any queue, put the message back elsewhere, hold it for years, revoke another job, inflate its body. Whoever
can write to Redis can put anything there. What is taken over is: the task's name and id, the job, or the jobs of a
group, whether a result is wanted, when to start and when to forget it, and the trace that it is part of.
docs/security.md lists what is not.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import structlog
from kombu.utils.json import dumps, loads
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ocrqueue.core.celery_messages import TASK
from ocrqueue.errors import JobExpired, JobMalformed, OcrQueueError
from ocrqueue.job import JOB_ID, describe_validation_error
from ocrqueue.job.groups import MOST_JOBS, same_kind
from ocrqueue.tracing import HEADER, is_traceparent

_log = structlog.get_logger(__name__)

MAX_ENTRY_BYTES: Final = 1 << 20
"""A job has some hundred bytes. The worker's main process, which has no memory limit of its own, parses the entry."""

_MAX_DEPTH: Final = 64
"""Of a body's lists and objects within each other; what reads it later has less of the stack left."""

_JSON: Final = "application/json"
_NAME: Final = r"^[ -~]{1,255}$"
"""Task names and ids: they go into keys and log lines."""


class _Trusted(BaseModel):
    """The fields of which kombu and Celery rely on the type."""

    model_config = ConfigDict(strict=True, extra="allow")


class _DeliveryInfo(_Trusted):
    exchange: str
    routing_key: str


class _Properties(_Trusted):
    delivery_tag: str
    delivery_info: _DeliveryInfo
    body_encoding: Literal["base64"] | None = None


class _Headers(_Trusted):
    """Celery's message protocol 2."""

    task: str
    id: str
    timelimit: tuple[float | None, float | None] | list[float | None] | None = Field(default=None, max_length=2)
    eta: str | None = None
    expires: str | None = None
    retries: int = 0
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    origin: str | None = None
    compression: str | None = None
    ignore_result: bool | None = None

    @field_validator("eta", "expires")
    @classmethod
    def _time(cls, value: str | None) -> str | None:
        if value is not None:
            _utc(value)
        return value


class _Envelope(_Trusted):
    body: str
    content_type: str = Field(alias="content-type")
    content_encoding: str = Field(alias="content-encoding")
    headers: _Headers
    properties: _Properties

    @field_validator("content_encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError("no such encoding") from None
        return value


class _Addressee(BaseModel):
    """What it takes to tell somebody that the rest of a message is malformed."""

    task: str = Field(pattern=_NAME)
    id: str = Field(pattern=_NAME)


@dataclass(frozen=True, slots=True)
class _Call:
    """What a body asks for."""

    args: list[Any]
    kwargs: dict[str, Any]
    ignored: tuple[str, ...] = ()
    """Parts that ask Celery to send further tasks."""


class NoMessage(Exception):
    """The entry cannot be taken, and nobody can be told. Its text says why, without the content."""


def accepted(entry: bytes, queue: str, longest_wait_s: float) -> bytes:
    """The envelope that Celery may have in place of `entry`, which was taken from `queue`.

    One that names this task and an id but is malformed or expired becomes a call that says so, so that its job fails
    with a code. An `eta` further ahead than `longest_wait_s` is cut to that. Raises NoMessage.
    """
    if len(entry) > MAX_ENTRY_BYTES:
        raise NoMessage(f"it has {len(entry)} bytes, more than {MAX_ENTRY_BYTES}")
    try:
        message = json.loads(entry)
    except (ValueError, RecursionError) as error:
        raise NoMessage(f"it is not JSON ({type(error).__name__})") from None
    fault = envelope_fault(message)
    headers = message.get("headers") if isinstance(message, dict) else None
    try:
        addressee = _Addressee.model_validate(headers)
    except ValidationError as error:
        raise NoMessage(fault or describe_validation_error(error)) from None
    if fault is not None and addressee.task != TASK:
        raise NoMessage(fault)
    known = headers if isinstance(headers, dict) and fault is None else {}
    eta, call = None, _Call([], {})
    if fault is None:
        call = _call(message)
        eta = _eta(known, longest_wait_s)
    if addressee.task == TASK:
        call = _job_call(call, known, fault)
    if call.ignored:
        _log.warning("ignored what else the message asks for", parts=call.ignored, task_id=addressee.id)
    # of a group, nobody waits for one result
    ignore_result = True if "jobs" in call.kwargs else known.get("ignore_result")
    traceparent = known.get(HEADER) if is_traceparent(known.get(HEADER)) else None
    kept = {"ignore_result": ignore_result, "eta": eta, HEADER: traceparent}
    return _envelope(addressee, call, queue, {name: value for name, value in kept.items() if value is not None})


def envelope_fault(message: object) -> str | None:
    """What is wrong with an entry's JSON, without its content; None if nothing."""
    if not isinstance(message, dict):
        return "it is no JSON object"
    try:
        envelope = _Envelope.model_validate(message)
    except ValidationError as error:
        return describe_validation_error(error)
    return _body_fault(envelope)


def _body_fault(envelope: _Envelope) -> str | None:
    if envelope.content_type != _JSON:
        return f"the body is {envelope.content_type[:60]!r} and not {_JSON}"
    if envelope.headers.compression is not None:
        return "the body is compressed"
    try:
        body = _body(envelope.body, envelope.properties.body_encoding)
    except Exception:  # kombu's decoders of typed values let through what their value makes Python raise
        return "the body is not JSON"
    match body:
        case [list(), dict(), dict() | None]:
            return "the body is nested too deeply" if _is_deep(body) else None
    return "the body is not [args, kwargs, embed]"


def _body(text: str, encoding: str | None) -> Any:
    raw = text.encode()
    return loads(base64.b64decode(raw, validate=True) if encoding else raw)  # type: ignore[no-untyped-call]  # kombu's


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _call(message: Mapping[str, Any]) -> _Call:
    """Of a message without a fault."""
    args, kwargs, embedded = _body(message["body"], message["properties"].get("body_encoding"))
    return _Call(args, kwargs, tuple(sorted(name[:20] for name, value in (embedded or {}).items() if value)))


def _job_call(call: _Call, headers: Mapping[str, Any], fault: str | None) -> _Call:
    """The call of this task: `job`, or the `jobs` of a group; and `refusal` where there is something to refuse."""
    refusal: OcrQueueError | None = None
    values = dict(call.kwargs)
    if call.args:
        values = {"job": call.args[0], **values}
    if fault is None and list(values) == ["jobs"]:
        fault = _group_fault(values["jobs"], headers)
        if fault is None:
            return call
    if fault is not None:
        refusal = JobMalformed(f"The message cannot be read: {fault}")
    elif len(call.args) > 1 or (call.args and "job" in call.kwargs) or set(values) - {"job"}:
        refusal = JobMalformed("The message has other arguments than one `job`.")
    elif (expires := headers.get("expires")) is not None and _utc(expires) <= datetime.now(UTC):
        refusal = JobExpired()
    kwargs = {"job": values.get("job")}
    return _Call([], kwargs if refusal is None else {**kwargs, "refusal": refusal.info.model_dump()}, call.ignored)


def _group_fault(jobs: object, headers: Mapping[str, Any]) -> str | None:
    """What makes it no group as `submit_many` sends it; None if nothing. Each job is looked at by itself later."""
    if not isinstance(jobs, list) or not 1 <= len(jobs) <= MOST_JOBS:
        return f"its jobs are no list of 1 to {MOST_JOBS}"
    ids = [job.get("id") for job in jobs if isinstance(job, dict)]
    known = [job_id for job_id in ids if isinstance(job_id, str) and re.fullmatch(JOB_ID, job_id)]
    if len(set(known)) != len(jobs):
        return "its jobs have no ids of their own"
    if any(not same_kind(job, jobs[0]) for job in jobs):
        return "its jobs are not of one kind"
    if headers.get("eta") is not None or headers.get("expires") is not None:
        return "a group has no time of its own"
    return None


def _eta(headers: Mapping[str, Any], longest_wait_s: float) -> str | None:
    """When to start, in ISO 8601; None for now."""
    wanted, now = headers.get("eta"), datetime.now(UTC)
    if wanted is None or (when := _utc(wanted)) <= now:
        return None
    return min(when, now + timedelta(seconds=longest_wait_s)).isoformat()


def _utc(text: str) -> datetime:
    """ISO 8601; without a time zone it is UTC. Raises ValueError."""
    when = datetime.fromisoformat(text)
    try:
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("out of range") from None


def _envelope(addressee: _Addressee, call: _Call, queue: str, more: Mapping[str, Any]) -> bytes:
    """As `ocrqueue.core.celery_messages.celery_message` makes it, with a delivery tag of its own."""
    body: str = dumps([call.args, call.kwargs, {}])  # type: ignore[no-untyped-call]  # kombu's
    envelope = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": _JSON,
        "headers": {
            "lang": "py",
            "task": addressee.task,
            "id": addressee.id,
            "root_id": addressee.id,
            "retries": 0,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            **more,
        },
        "properties": {
            "correlation_id": addressee.id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            # kombu keeps what is not acknowledged by this, so no two messages may share it
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return json.dumps(envelope).encode()
