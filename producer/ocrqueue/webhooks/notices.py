"""Notices: what somebody is to be told of one end, how far that is, and the log of the attempts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

import redis.asyncio
from pydantic import BaseModel, ConfigDict, ValidationError

from ocrqueue.core.keys import Keys
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.registry import Registry
from ocrqueue.core.scripts import load_script
from ocrqueue.errors import WebhookOff, WebhookUnknown
from ocrqueue.job.references import redact_uri

SCRIPTS: Final = "ocrqueue.webhooks"
"""The package that has the scripts."""
_MOST_DIGITS: Final = 15
_AT_ONCE: Final = 200


class Told(BaseModel):
    """One attempt to tell somebody."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: datetime
    became: Literal["delivered", "retry", "failed", "off"]
    status: int | None = None
    """Of the answer; None where there was none."""
    error: str | None = None
    took_s: float | None = None


class Notice(BaseModel):
    """What is known of it."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Also the header `webhook-id`: the same in each attempt."""
    tenant: str
    url: str
    """Without its query, which may hold a secret."""
    job: str | None = None
    batch: str | None = None
    state: Literal["pending", "delivered", "failed"]
    attempts: int = 0
    """Since it was made, or since the last replay."""
    made_at: datetime | None = None
    ended_at: datetime | None = None
    log: tuple[Told, ...] = ()
    """The newest 32 attempts, oldest first."""


def notices_of(registry: Registry, job_id: str) -> list[Notice]:
    """Of a job, one for each of its ends; the oldest first. Those that were told a while ago have expired."""
    with broker_errors():
        found = cast("list[bytes]", registry.client.zrange(registry.keys.notices_of(job_id), 0, -1))
    known = _read(registry, [name.decode() for name in found])
    return sorted(known, key=lambda notice: notice.id)


async def aio_notices_of(client: redis.asyncio.Redis, keys: Keys, job_id: str) -> list[Notice]:
    """The same over a client of asyncio."""
    with broker_errors():
        found = cast("list[bytes]", await client.zrange(keys.notices_of(job_id), 0, _AT_ONCE - 1, desc=True))
        names = [name.decode() for name in found]
        async with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hgetall(keys.notice(name))
            stored = await pipeline.execute()
    known = [parse_notice(name, fields) for name, fields in zip(names, stored, strict=True) if fields]
    return sorted(known, key=lambda notice: notice.id)


def failed_notices(registry: Registry, limit: int = 100, tenant: str | None = None) -> list[Notice]:
    """That nobody took, the newest first."""
    found: list[Notice] = []
    start = 0
    while len(found) < limit:
        with broker_errors():
            names = cast(
                "list[bytes]",
                registry.client.zrevrange(registry.keys.notices_failed(), start, start + _AT_ONCE - 1),
            )
        if not names:
            break
        start += _AT_ONCE
        known = _read(registry, [name.decode() for name in names])
        found += [notice for notice in known if tenant is None or notice.tenant == tenant]
    return found[:limit]


def replay_notice(registry: Registry, notice: str) -> None:
    """Tell it again, from the first attempt on. Raises WebhookUnknown, WebhookOff."""
    script = registry.client.register_script(load_script("replay_notices", SCRIPTS))
    with broker_errors():
        (answer,) = script(args=[registry.keys.root, notice])
    if answer == b"unknown":
        raise WebhookUnknown(f"There is no notice {notice[:200]}.")
    if answer == b"off":
        raise WebhookOff(f"The URL of {notice[:200]} has answered 410.")


def _read(registry: Registry, names: Sequence[str]) -> list[Notice]:
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hgetall(registry.keys.notice(name))
        stored = pipeline.execute()
    return [parse_notice(name, fields) for name, fields in zip(names, stored, strict=True) if fields]


def parse_notice(name: str, stored: Mapping[bytes, bytes]) -> Notice:
    """From its hash as Redis returns it. Never raises for what a newer version has written."""
    fields = {field.decode(errors="replace"): value.decode(errors="replace") for field, value in stored.items()}
    state = fields.get("state", "pending")
    return Notice(
        id=name,
        tenant=fields.get("tenant", ""),
        url=redact_uri(fields.get("url", "")),
        job=fields.get("job"),
        batch=fields.get("batch"),
        state=state if state in ("delivered", "failed") else "pending",
        attempts=int(fields["attempts"]) if fields.get("attempts", "").isdecimal() else 0,
        made_at=moment_of(fields.get("made_at")),
        ended_at=moment_of(fields.get("ended_at")),
        log=tuple(told for line in fields.get("log", "").splitlines() if (told := _told(line)) is not None),
    )


def moment_of(milliseconds: str | None) -> datetime | None:
    if not milliseconds or not milliseconds.isdecimal() or len(milliseconds) >= _MOST_DIGITS:
        return None
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _told(line: str) -> Told | None:
    try:
        fields: dict[str, Any] = json.loads(line)
        return Told.model_validate({**fields, "at": moment_of(str(fields.get("at", "")))})
    except (ValueError, TypeError, RecursionError, ValidationError):
        return None


def log_line(at_ms: int | str, became: str, *, status: int | None, error: str | None, took_s: float | None) -> str:
    """For the log in Redis."""
    told = {"at": at_ms, "became": became, "status": status, "error": error, "took_s": took_s}
    return json.dumps({name: value for name, value in told.items() if value is not None}, separators=(",", ":"))
