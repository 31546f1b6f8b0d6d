"""Messages that foreign Celery apps push to `ocr.<engine>`: what can be told of them before any of it is acted on.

kombu and Celery take for granted that a queue's list holds their own envelopes, and do what those say: send further
tasks to any queue, put the message back elsewhere, revoke another job, inflate its body. Whoever can write to Redis can
put anything there. What is taken over is: the task's id, the job, whether a result is wanted, when to start and when to
forget it, and the trace that it is part of. docs/security.md lists what is not.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json import loads as json_loads
from typing import Any, Final, Literal

from kombu.utils.json import loads
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ocrqueue.core.celery_messages import TASK
from ocrqueue.errors import JobExpired, JobMalformed, OcrQueueError
from ocrqueue.job import JOB_ID, Job, describe_validation_error, parse_job
from ocrqueue.tracing import HEADER, is_traceparent

_log = logging.getLogger(__name__)

MAX_ENTRY_BYTES: Final = 1 << 20
"""A job has some hundred bytes. Who takes messages in has no memory limit of its own, and parses the entry."""
_MAX_DEPTH: Final = 64
"""Of a body's lists and objects within each other; what reads it later has less of the stack left."""

_JSON: Final = "application/json"
_NAME: Final = r"^[ -~]{1,255}$"
"""Task names and ids: they go into keys and log lines."""


class _Trusted(BaseModel):
    """kombu and Celery rely on the types of these fields."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)


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


@dataclass(frozen=True, slots=True)
class ForeignJob:
    """What an entry asks for."""

    job: Job
    refusal: OcrQueueError | None
    """Why it is not to be worked on: the job ends with this."""
    result_for: str | None
    """The task id by which an AsyncResult may wait for it; None if nobody does."""
    not_before: datetime | None
    trace: str | None
    ignored: tuple[str, ...]
    """Parts that ask Celery to send further tasks."""


def read_entry(entry: bytes) -> ForeignJob:
    """The job in an entry of a list. One that names this task and an id but is malformed or expired is refused with a
    code, which its sender can hear of. Raises NoMessage for what can be dropped only."""
    if len(entry) > MAX_ENTRY_BYTES:
        raise NoMessage(f"it has {len(entry)} bytes, more than {MAX_ENTRY_BYTES}")
    try:
        message = json_loads(entry)
    except (ValueError, RecursionError) as error:
        raise NoMessage(f"it is not JSON ({type(error).__name__})") from None
    fault = _fault_of(message)
    headers = message.get("headers") if isinstance(message, dict) else None
    try:
        addressee = _Addressee.model_validate(headers)
    except ValidationError as error:
        raise NoMessage(fault or describe_validation_error(error)) from None
    if addressee.task != TASK:
        raise NoMessage(f"its task is unknown: {addressee.task[:60]!r}")
    known: Mapping[str, Any] = headers if isinstance(headers, dict) and fault is None else {}
    call = _call(message) if fault is None else _Call([], {})
    if re.fullmatch(JOB_ID, addressee.id):
        job, refusal = _asked(call, known, fault, addressee.id)
    else:
        # under an id made of the task's, so that its sender hears of it by that, and once where it comes again
        own_id = f"refused-{hashlib.sha256(addressee.id.encode()).hexdigest()[:32]}"
        job, refusal = (
            unreadable_job(own_id),
            JobMalformed("A job's id has letters, digits, - and _, 64 at most."),
        )
    trace = known.get(HEADER)
    return ForeignJob(
        job,
        refusal,
        result_for=None if known.get("ignore_result") is True else addressee.id,
        not_before=_utc(known["eta"]) if known.get("eta") is not None else None,
        trace=trace if is_traceparent(trace) else None,
        ignored=call.ignored,
    )


def _asked(call: _Call, headers: Mapping[str, Any], fault: str | None, job_id: str) -> tuple[Job, OcrQueueError | None]:
    """The job, and why it is refused; one that cannot be read is a job without an image."""
    values = dict(call.kwargs)
    if call.args:
        values = {"job": call.args[0], **values}
    refusal: OcrQueueError | None = None
    if fault is not None:
        refusal = JobMalformed(f"The message cannot be read: {fault}")
    elif len(call.args) > 1 or (call.args and "job" in call.kwargs) or set(values) - {"job"}:
        refusal = JobMalformed("The message must have exactly one argument, `job`.")
    elif (expires := headers.get("expires")) is not None and _utc(expires) <= datetime.now(UTC):
        refusal = JobExpired()
    try:
        return parse_job(values.get("job"), job_id), refusal
    except OcrQueueError as error:
        return unreadable_job(job_id), refusal or error
    except Exception as error:
        # kombu makes objects of typed values, and what they do with a question is theirs
        _log.exception("cannot read job %s", job_id)
        kind = type(error).__name__
    return unreadable_job(job_id), refusal or JobMalformed(f"The job cannot be read ({kind}).")


def unreadable_job(job_id: str) -> Job:
    """In the place of one of which nothing but the id can be kept."""
    return Job(id=job_id, image="unreadable:")


def _fault_of(message: object) -> str | None:
    try:
        return envelope_fault(message)
    except Exception as error:
        _log.exception("cannot read a message")
        return f"reading it fails ({type(error).__name__})"


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


def _utc(text: str) -> datetime:
    """ISO 8601; without a time zone it is UTC. Raises ValueError."""
    when = datetime.fromisoformat(text)
    try:
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("out of range") from None
