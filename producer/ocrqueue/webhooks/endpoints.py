"""The tenants' webhooks: where each is told of ends, and the secrets that sign what it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.registry import Registry
from ocrqueue.errors import WebhookInvalid, WebhookUnknown
from ocrqueue.job.references import redact_uri
from ocrqueue.job.webhook_url import check_webhook_url
from ocrqueue.settings import ClientSettings
from ocrqueue.webhooks.hosts import check_host
from ocrqueue.webhooks.secrets import Kind, StoredSecret, dump, new_secret, parse


class Endpoint(BaseModel):
    """What is known of a tenant's webhook."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    """Empty: of jobs that name none."""
    url: str | None
    """Without its query, which may hold a secret. None: only URLs of its jobs' own are told."""
    off: bool = False
    """Whether it has answered 410, and is told nothing more."""
    secrets: tuple[Kind, ...] = ()
    """The newest first."""
    public_keys: tuple[str, ...] = ()
    pending: int = 0
    """Notices that are to be told, to URLs of its jobs' own too."""


def checked_url(url: str, settings: ClientSettings) -> str:
    """Raises WebhookInvalid."""
    try:
        check_host(check_webhook_url(url), settings)
    except ValueError as error:
        raise WebhookInvalid(f"The URL {error}.") from None
    return url


def set_endpoint(registry: Registry, tenant: str, url: str, kind: Kind = "hmac") -> StoredSecret | None:
    """Tell this URL of ends from now on, also if it was off. Returns the secret that was made, if there was none.

    Raises WebhookInvalid, WebhooksExtraMissing.
    """
    checked_url(url, registry.settings)
    made = None if _secrets(registry, tenant) else rotate_secret(registry, tenant, kind)
    with broker_errors():
        registry.client.hset(registry.keys.webhooks(), tenant, url)
    enable_url(registry, tenant, url)
    return made


def remove_endpoint(registry: Registry, tenant: str, *, with_secrets: bool = False) -> None:
    """Notices that wait are sent all the same; without a secret none is. Raises WebhookUnknown."""
    with broker_errors():
        removed = registry.client.hdel(registry.keys.webhooks(), tenant)
        if with_secrets:
            removed += registry.client.hdel(registry.keys.webhook_secrets(), tenant)
    if not removed:
        raise WebhookUnknown("The tenant has no webhook.")


def rotate_secret(registry: Registry, tenant: str, kind: Kind = "hmac") -> StoredSecret:
    """A new one, which is told once: here. Both it and the one before sign from now on. Raises WebhooksExtraMissing."""
    made = new_secret(kind)
    _store(registry, tenant, (made, *_secrets(registry, tenant)[:1]))
    return made


def retire_secret(registry: Registry, tenant: str) -> None:
    """Only the newest signs from now on. Raises WebhookUnknown where there is none."""
    found = _secrets(registry, tenant)
    if not found:
        raise WebhookUnknown("The tenant has no secret.")
    _store(registry, tenant, found[:1])


def enable_url(registry: Registry, tenant: str, url: str) -> bool:
    """Tell it again, although it has answered 410. Returns whether it had."""
    with broker_errors():
        return bool(registry.client.zrem(registry.keys.webhooks_off(), off_entry(tenant, url)))


def endpoints(registry: Registry) -> list[Endpoint]:
    """Of all tenants that have a URL, a secret or a notice, by name."""
    keys, client = registry.keys, registry.client
    with broker_errors():
        urls = cast("dict[bytes, bytes]", client.hgetall(keys.webhooks()))
        stored = cast("dict[bytes, bytes]", client.hgetall(keys.webhook_secrets()))
        lanes = [
            lane.decode(errors="replace")
            for failing in (False, True)
            for lane in cast("list[bytes]", client.zrange(keys.notice_lanes(failing=failing), 0, -1))
        ]
        with client.pipeline(transaction=False) as pipeline:
            for lane in lanes:
                pipeline.zcard(keys.notices(lane))
            counts = pipeline.execute()
    url_of = {name.decode(errors="replace"): url.decode(errors="replace") for name, url in urls.items()}
    secrets_of = {name.decode(errors="replace"): parse(text) for name, text in stored.items()}
    pending: dict[str, int] = {}
    for lane, count in zip(lanes, counts, strict=True):
        tenant = lane.partition(" ")[0]
        pending[tenant] = pending.get(tenant, 0) + count
    names = sorted({*url_of, *secrets_of, *pending})
    off = _which_are_off(registry, [(name, url_of.get(name, "")) for name in names])
    return [
        _endpoint(name, url_of.get(name), secrets_of.get(name, ()), is_off, pending.get(name, 0))
        for name, is_off in zip(names, off, strict=True)
    ]


def _endpoint(tenant: str, url: str | None, found: tuple[StoredSecret, ...], is_off: bool, pending: int) -> Endpoint:
    return Endpoint(
        tenant=tenant,
        url=None if url is None else redact_uri(url),
        off=is_off,
        secrets=tuple(each.kind for each in found),
        public_keys=tuple(each.shown for each in found if each.kind == "ed25519"),
        pending=pending,
    )


def off_entry(tenant: str, url: str) -> str:
    """As scripts/shared/webhooks.lua has it."""
    return f"{tenant} {hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()}"


def _which_are_off(registry: Registry, named: Sequence[tuple[str, str]]) -> list[bool]:
    with broker_errors(), registry.client.pipeline(transaction=False) as pipeline:
        for tenant, url in named:
            pipeline.zscore(registry.keys.webhooks_off(), off_entry(tenant, url))
        return [score is not None for score in pipeline.execute()]


def _secrets(registry: Registry, tenant: str) -> tuple[StoredSecret, ...]:
    with broker_errors():
        return parse(cast("bytes | None", registry.client.hget(registry.keys.webhook_secrets(), tenant)))


def _store(registry: Registry, tenant: str, found: tuple[StoredSecret, ...]) -> None:
    with broker_errors():
        registry.client.hset(registry.keys.webhook_secrets(), tenant, dump(found))
