"""API keys, what tenants may have, and what they have used: for both clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, Unpack

from ocrqueue.core import api_keys, limits
from ocrqueue.core.api_keys import ApiKey, NewApiKey
from ocrqueue.core.audit import note_action
from ocrqueue.core.limits import LimitChanges, TenantLimits
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Commands, Steps
from ocrqueue.core.usage import Period, Usage, usage

Answer = TypeVar("Answer")


class Do(Protocol):
    """Takes the steps."""

    def __call__(self, steps: Steps[Answer], /) -> Answer: ...


class AsyncDo(Protocol):
    """The same, awaitable."""

    async def __call__(self, steps: Steps[Answer], /) -> Answer: ...


class ApiKeys:
    """Who may ask the gateway for what."""

    def __init__(self, do: Do, arguments: ScriptArguments) -> None:
        self._do = do
        self._arguments = arguments

    def create(
        self,
        *,
        tenant: str = "",
        scopes: Sequence[str] = ("submit", "read", "cancel"),
        engines: Sequence[str] | None = None,
        rate: str | None = None,
        expires_in_s: int | None = None,
        name: str = "",
        who: str | None = None,
    ) -> NewApiKey:
        """Make a key. `text` of the answer is the key: nothing can show it again. `rate`: of requests, such as 10/s.

        `who`: for the audit, user@host if not given. Raises KeyRequestInvalid.
        """
        asked: dict[str, Any] = {"tenant": tenant, "scopes": scopes, "engines": engines, "rate": rate, "name": name}
        return self._do(_create(self._arguments, asked, expires_in_s, who))

    def list(self) -> list[ApiKey]:
        """All keys, the newest first; when each was last used, to the minute."""
        return self._do(api_keys.keys(self._arguments))

    def revoke(self, key_id: str, *, who: str | None = None) -> None:
        """From now on it is worth nothing, on all replicas of the gateway. Raises KeyUnknown."""
        self._do(_revoke(self._arguments, key_id, who))

    def authenticate(self, text: str) -> ApiKey:
        """Whose key this is; counts towards its rate. Raises KeyInvalid, KeyExpired, KeyRateExceeded."""
        return self._do(api_keys.authenticate(self._arguments, text))

    def authenticate_signed(self, key_id: str) -> ApiKey:
        """The same for a request that is signed with the key's secret, once the signature was found right."""
        return self._do(api_keys.authenticate_signed(self._arguments, key_id))

    def is_good(self, key_id: str) -> bool:
        """Whether the key is neither revoked nor expired; it does not count as a request."""
        return self._do(api_keys.is_good(self._arguments, key_id))


class AsyncApiKeys:
    """The same, awaitable."""

    def __init__(self, do: AsyncDo, arguments: ScriptArguments) -> None:
        self._do = do
        self._arguments = arguments

    async def create(
        self,
        *,
        tenant: str = "",
        scopes: Sequence[str] = ("submit", "read", "cancel"),
        engines: Sequence[str] | None = None,
        rate: str | None = None,
        expires_in_s: int | None = None,
        name: str = "",
        who: str | None = None,
    ) -> NewApiKey:
        """See ApiKeys.create."""
        asked: dict[str, Any] = {"tenant": tenant, "scopes": scopes, "engines": engines, "rate": rate, "name": name}
        return await self._do(_create(self._arguments, asked, expires_in_s, who))

    async def list(self) -> list[ApiKey]:
        """See ApiKeys.list."""
        return await self._do(api_keys.keys(self._arguments))

    async def revoke(self, key_id: str, *, who: str | None = None) -> None:
        """See ApiKeys.revoke."""
        await self._do(_revoke(self._arguments, key_id, who))

    async def authenticate(self, text: str) -> ApiKey:
        """See ApiKeys.authenticate."""
        return await self._do(api_keys.authenticate(self._arguments, text))

    async def authenticate_signed(self, key_id: str) -> ApiKey:
        """See ApiKeys.authenticate_signed."""
        return await self._do(api_keys.authenticate_signed(self._arguments, key_id))

    async def is_good(self, key_id: str) -> bool:
        """See ApiKeys.is_good."""
        return await self._do(api_keys.is_good(self._arguments, key_id))


def _create(
    arguments: ScriptArguments, asked: dict[str, Any], expires_in_s: int | None, who: str | None
) -> Steps[NewApiKey]:
    made = yield from api_keys.create(arguments, expires_in_s=expires_in_s, **asked)
    what = {"key": made.key.id, "tenant": made.key.tenant, "scopes": ", ".join(made.key.scopes)}
    yield from note_action(arguments, "key made", what, who)
    return made


def _revoke(arguments: ScriptArguments, key_id: str, who: str | None) -> Steps[None]:
    yield from api_keys.revoke(arguments, key_id)
    yield from note_action(arguments, "key revoked", {"key": key_id}, who)


def limit_tenant(
    arguments: ScriptArguments, tenant: str, who: str | None, **changes: Unpack[LimitChanges]
) -> Steps[TenantLimits]:
    """Raises TenantLimitInvalid."""
    made = yield from limits.set_limits(arguments.keys, tenant, **changes)
    told = {name: "none" if value is None else str(value) for name, value in changes.items()}
    yield from note_action(arguments, "limit", {"tenant": tenant, **told}, who)
    return made


def tenant_limits(arguments: ScriptArguments, tenant: str) -> Steps[TenantLimits]:
    return limits.limits_of(arguments.keys, tenant)


def tenant_usage(arguments: ScriptArguments, tenant: str | None, by: Period, last: int) -> Steps[list[Usage]]:
    return usage(arguments.keys, tenant, by, last)


def ended_of_tenant(arguments: ScriptArguments, job_id: str, tenant: str) -> Steps[bool]:
    """Whether a job without a record was of the tenant, which is not empty. Two round trips."""
    keys = arguments.keys
    (days,) = yield Commands([("SMEMBERS", keys.ended_days())])
    if not days:
        return False
    entry = f"{job_id} @{tenant}"
    found = yield Commands([("SISMEMBER", keys.ended_ids(day.decode()), entry) for day in days])
    return any(found)
