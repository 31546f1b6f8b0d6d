"""What every route depends on, to know its caller."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from fastapi import Security
from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core.api_keys import ApiKey, Scope
from ocrqueue.errors import KeyAttemptsExceeded, KeyExpired, KeyForbidden, KeyInvalid, KeyMissing
from ocrqueue_gateway.access import sessions
from ocrqueue_gateway.access.anonymous import may_come_without_key
from ocrqueue_gateway.access.caller import ANYBODY, Caller
from ocrqueue_gateway.access.credentials import WAYS, presented_key
from ocrqueue_gateway.access.failures import FailedAttempts
from ocrqueue_gateway.problems import OPERATOR

_CALLER: Final = "ocrqueue_caller"


FindKey = Callable[[Request], str | None]
"""The key of a request; None where there is none."""


def require(
    scope: Scope, *, operator: bool = False, find: FindKey = lambda request: presented_key(request.headers)
) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, who has this scope. `operator`: is one, for what is not of one tenant. `find`: where
    the key is elsewhere.

    Raises KeyMissing, KeyInvalid, KeyExpired, KeyForbidden, KeyRateExceeded, KeyAttemptsExceeded.
    """

    # for the OpenAPI document: as defaults, since annotations are texts, which know no local name
    ways: list[Any] = [Security(way, scopes=[scope]) for way in WAYS]
    bearer, azure, common, google = ways

    async def caller(
        request: Request,
        _bearer: None = bearer,
        _azure: None = azure,
        _common: None = common,
        _google: None = google,
    ) -> Caller:
        found = await caller_of(request, find)
        check_scope(found, scope)
        if operator and not found.is_operator:
            raise KeyForbidden("This is for operators: a key with the scope admin and no tenant.", scope=scope)
        return found

    return caller


def check_scope(caller: Caller, scope: Scope) -> None:
    """Raises KeyForbidden."""
    if scope not in caller.scopes:
        raise KeyForbidden(f"The API key has not the scope {scope}.", scope=scope)


async def caller_of(request: Request, find: FindKey) -> Caller:
    """Whoever asks; once a request."""
    known: Caller | None = request.scope.get(_CALLER)
    if known is None:
        known = await _identified(request, find(request))
        request.scope[_CALLER] = known
        request.scope[OPERATOR] = known.is_operator
    return known


async def _identified(request: Request, key: str | None) -> Caller:
    if key is not None:
        return caller_with(await authenticated(request, key))
    if request.query_params.get("key"):  # as some of Google's clients send it
        raise KeyMissing(
            "The API key is in the address, which ends up in logs: there it does not count.",
            remedy="Send it in the header x-goog-api-key, or as `Authorization: Bearer KEY`.",
        )
    if (key_id := await sessions.key_id_of(request)) is not None:
        queue: AsyncOcrQueue = request.app.state.queue
        try:
            # the session's token was found right
            return replace(caller_with(await queue.api_keys.authenticate_signed(key_id)), has_session=True)
        except (KeyInvalid, KeyExpired):
            if not may_come_without_key(request.app.state.settings, request):
                raise
    if may_come_without_key(request.app.state.settings, request):
        return ANYBODY
    raise KeyMissing()


async def authenticated(request: Request, key: str) -> ApiKey:
    """What the key permits. Raises KeyInvalid, KeyExpired, KeyRateExceeded, KeyAttemptsExceeded."""
    queue: AsyncOcrQueue = request.app.state.queue
    failures = failures_of(request)
    check_attempts(request, key)
    try:
        found = await queue.api_keys.authenticate(key)
    except KeyInvalid:
        failures.failed(address_of(request), key, time.monotonic())
        raise
    failures.succeeded(key)
    return found


async def is_still_good(request: Request, caller: Caller) -> bool:
    """Of an answer that goes on for long: whether the caller's key has neither expired nor been revoked meanwhile.

    Raises BrokerUnavailable.
    """
    queue: AsyncOcrQueue = request.app.state.queue
    return caller.key_id is None or await queue.api_keys.is_good(caller.key_id)


def check_attempts(request: Request, key: str) -> None:
    """Raises KeyAttemptsExceeded where nothing of the address is looked at for a while, nor this key."""
    if wait_s := failures_of(request).wait_s(address_of(request), key, time.monotonic()):
        raise KeyAttemptsExceeded(
            f"Too many wrong API keys came from this address; ask again in {wait_s} s.", retry_after_s=wait_s
        )


def address_of(request: Request) -> str:
    """Where the connection comes from."""
    return request.client.host if request.client else ""


def caller_with(key: ApiKey) -> Caller:
    """Of this key, once it was found right; of a signed request too."""
    engines = None if key.engines is None else frozenset(key.engines)
    return Caller(key.tenant, key.id, frozenset(key.scopes), engines)


def failures_of(request: Request) -> FailedAttempts:
    """Of this replica."""
    state = request.app.state
    if not hasattr(state, "failed_attempts"):
        state.failed_attempts = FailedAttempts()
    found: FailedAttempts = state.failed_attempts
    return found
