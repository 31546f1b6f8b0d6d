"""Idempotency-Key: a request that is sent again is answered as the first one was, and makes no second job.

What the key stands for is kept in Redis as long as the core remembers the job's own key: `claim:<sha256>` of the table
in ocrqueue.core.keys. While a request is being worked on it says so, for a minute that is renewed; should this process
be killed, the next request goes on, and the core's key sees to it that there is one job.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from ocrqueue.aio import AsyncOcrQueue, keys_of, redis_of
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import IdempotencyMismatch, RequestInProgress, RequestInvalid

KEY_PATTERN: Final = '^(?:"([!#-~]{1,255})"|([!#-~]{1,255}))$'
"""Of the header: visible ASCII, in quotes or not. https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header
has it in quotes, and few clients have."""
_HELD_MS: Final = 60_000
_PENDING: Final = b"pending "


@dataclass
class Claim:
    """Of one request on its key."""

    answered: dict[str, str] | None
    """What the key stands for already."""
    came_to: dict[str, str] | None = field(default=None)
    """To be kept; None: the request has failed, and the key is free again."""

    def check(self, fingerprint: str) -> str | None:
        """The job that stands for the request. Raises IdempotencyMismatch where the key stands for another request."""
        if self.answered is None:
            return None
        if self.answered.get("fingerprint") != fingerprint:
            raise IdempotencyMismatch()
        return self.answered.get("id")

    def keep(self, fingerprint: str, made: str, told: str = "") -> None:
        """`made`: the id of the job, or the batch. `told`: what cannot be found out from that again."""
        self.came_to = {"fingerprint": fingerprint, "id": made, "told": told}

    @property
    def told(self) -> str:
        """As it was kept; empty where nothing was."""
        return (self.answered or {}).get("told", "")


def key_of(header: str | None) -> str | None:
    """Raises RequestInvalid."""
    if header is None:
        return None
    found = re.fullmatch(KEY_PATTERN, header.strip())
    if found is None:
        raise RequestInvalid("The Idempotency-Key is to be 1 to 255 visible ASCII characters, and may be in quotes.")
    return found[1] or found[2]


def fingerprint_of(*parts: Any) -> str:
    """The same for requests that ask the same."""
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


@asynccontextmanager
async def claimed(queue: AsyncOcrQueue, tenant: str, kind: str, key: str | None) -> AsyncIterator[Claim]:
    """`kind`: of what is made. Raises RequestInProgress, BrokerUnavailable."""
    if key is None:
        yield Claim(None)
        return
    name = keys_of(queue).claim(tenant, kind, key)
    token = _PENDING + secrets.token_bytes(16)
    with broker_errors():
        before: Any = await redis_of(queue).set(name, token, nx=True, px=_HELD_MS, get=True)
    if before is not None:
        if before.startswith(_PENDING):
            raise RequestInProgress()
        yield Claim(json.loads(before))
        return
    claim = Claim(None)
    holding = asyncio.create_task(_hold(queue, name))
    try:
        yield claim
    finally:
        holding.cancel()
        await _settle(queue, name, token, claim)


async def _hold(queue: AsyncOcrQueue, name: str) -> None:
    while True:
        await asyncio.sleep(_HELD_MS / 3000)
        with suppress(Exception):  # it is free after a minute, and the core's own key holds
            await redis_of(queue).pexpire(name, _HELD_MS)


async def _settle(queue: AsyncOcrQueue, name: str, token: bytes, claim: Claim) -> None:
    if claim.came_to is not None:
        with broker_errors():
            await redis_of(queue).set(name, json.dumps(claim.came_to), ex=queue.settings.idempotency_ttl_s)
        return
    with suppress(Exception):  # the request has failed, and that is what its caller is told
        if await redis_of(queue).get(name) == token:
            await redis_of(queue).delete(name)
