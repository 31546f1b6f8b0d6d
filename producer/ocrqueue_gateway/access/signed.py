"""The caller of a request that is signed instead of having the key in it.

The signature is of the body too, so this has two steps: before the body is read, all is checked that can be; then the
signature. Who has signed rightly lately goes on, however many others fail from the same address, and a wrong signature
in the name of a key costs its owner nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core.api_keys import signing_secret
from ocrqueue.errors import KeyInvalid
from ocrqueue_gateway.access.authentication import address_of, caller_with, check_attempts, failures_of
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.sigv4 import Authorization, check_signature, read_authorization


def announced(request: Request, service: str) -> Authorization:
    """Who says to have signed it. The key is looked for in Redis only once the signature is right.

    Raises KeyInvalid, SignatureExpired, KeyAttemptsExceeded.
    """
    _gateway_secret(request)
    with _counted(request, ""):
        made = read_authorization(request.scope["headers"], service=service, now=datetime.now(UTC))
    check_attempts(request, _mark(made.key_id))
    return made


async def verified(request: Request, authorization: Authorization, body_sha256: str) -> Caller:
    """`body_sha256`: of all that came. Raises SignatureWrong, KeyInvalid, KeyExpired, KeyRateExceeded."""
    queue: AsyncOcrQueue = request.app.state.queue
    scope = request.scope
    with _counted(request, authorization.signature):
        check_signature(
            authorization,
            signing_secret(_gateway_secret(request), authorization.key_id),
            method=request.method,
            path=scope.get("raw_path") or scope["path"].encode(),
            query=scope["query_string"],
            headers=scope["headers"],
            body_sha256=body_sha256,
        )
    with _counted(request, _mark(authorization.key_id)):
        found = await queue.api_keys.authenticate_signed(authorization.key_id)
    failures_of(request).succeeded(_mark(authorization.key_id))
    return caller_with(found)


def _gateway_secret(request: Request) -> str:
    """Raises KeyInvalid."""
    queue: AsyncOcrQueue = request.app.state.queue
    secret = queue.settings.gateway_secret
    if secret is None:
        raise KeyInvalid(
            "This gateway cannot check signatures: OCRQUEUE_GATEWAY_SECRET is not set.",
            remedy="An operator sets it, and makes a key with `ocrqueue keys create`.",
        )
    return secret.get_secret_value()


def _mark(key_id: str) -> str:
    """What stands for the key among those that were right lately."""
    return f"signed by {key_id}"


@contextmanager
def _counted(request: Request, key: str) -> Iterator[None]:
    """What is wrong is counted against the address."""
    try:
        yield
    except KeyInvalid:
        failures_of(request).failed(address_of(request), key, time.monotonic())
        raise
