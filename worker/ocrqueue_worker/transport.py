"""Celery's Redis transport, hardened: what is no message of Celery's does not reach the consumer.

kombu and Celery take for granted that a queue's list holds their own envelopes. Whoever can write to Redis can put
anything there, and one such entry raises out of the consumer's loop and ends the worker's main process, or takes a pool
slot for ever; once restored, it does so again. Here it is logged and dropped.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Mapping
from typing import Any, Literal

import structlog
from kombu.transport import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ocrqueue.job import describe_validation_error

_log = structlog.get_logger(__name__)

_JSON = "application/json"


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


def envelope_fault(message: object) -> str | None:
    """What is wrong with a queue's entry; None if Celery can take it.

    Bodies of another content type than JSON are left to Celery, which refuses them without harm.
    """
    try:
        envelope = _Envelope.model_validate(message)
    except ValidationError as error:
        return describe_validation_error(error)
    if envelope.content_type != _JSON:
        return None
    try:
        raw = envelope.body.encode()
        body = json.loads(base64.b64decode(raw, validate=True) if envelope.properties.body_encoding else raw)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    match body:
        case [list(), dict(), dict() | None]:
            return None
    return "the body is not [args, kwargs, embed]"


class Channel(redis.Channel):
    """Drops list entries that are not JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]  # kombu has no types
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.error("dropped what is no message", error=type(error).__name__)
            return True


class Transport(redis.Transport):
    """Drops JSON that is not an envelope of Celery's."""

    Channel = Channel

    def _deliver(self, message: Mapping[str, Any], queue: str) -> None:
        fault = envelope_fault(message)
        if fault is None or self._is_control(queue):
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]  # kombu has no types
        else:
            _log.error("dropped a malformed message", queue=queue, fault=fault)

    @staticmethod
    def _is_control(queue: str) -> bool:
        """Celery's own broadcasts (inspect, ping), which have another form."""
        return queue.endswith(".pidbox")
