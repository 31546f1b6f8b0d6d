"""Sessions of browsers: a cookie stands for an API key, for as long as the key is good.

Redis holds the sum of a random token and the key's id, and never the key. Each request asks Redis what the key permits,
as every other request does: a session of a key that is revoked ends at that moment.

A browser sends cookies by itself, also for a page that is not ours. So the cookie is SameSite=Strict, and counts only
for requests that the browser says a page of this very gateway has made, or that a person has by going to an address.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ocrqueue.aio import AsyncOcrQueue, keys_of, redis_of
from ocrqueue.core.redis_errors import broker_errors

COOKIE: Final = "ocrqueue_session"
_COOKIE_OF_TLS: Final = f"__Host-{COOKIE}"
"""Browsers take it over TLS only, and from no other host of the domain. Over TLS no other one counts: whoever writes
to the browser without TLS cannot lead a person into a session of theirs."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST: Final = 100


async def begin(request: Request, response: Response, key_id: str) -> None:
    """`response` is to give the browser a session of this key. A session that it had before ends. Raises
    BrokerUnavailable."""
    await end(request, response)
    token = secrets.token_urlsafe(32)
    ttl_s: int = request.app.state.settings.session_ttl_s
    queue: AsyncOcrQueue = request.app.state.queue
    with broker_errors():
        await redis_of(queue).set(keys_of(queue).session(_sum(token)), key_id, ex=ttl_s)
    secure = is_by_tls(request)
    response.set_cookie(
        _name(request),
        token,
        max_age=ttl_s,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


async def end(request: Request, response: Response) -> None:
    """The browser's session, if it has one, is worth nothing from now on. Raises BrokerUnavailable."""
    there = [name for name in (COOKIE, _COOKIE_OF_TLS) if name in request.cookies]
    tokens = [token for name in there if (token := _token(request, name)) is not None]
    if tokens:
        queue: AsyncOcrQueue = request.app.state.queue
        with broker_errors():
            await redis_of(queue).delete(*[keys_of(queue).session(_sum(token)) for token in tokens])
    for name in there:
        response.delete_cookie(name, path="/", secure=name != COOKIE, httponly=True, samesite="strict")


async def key_id_of(request: Request) -> str | None:
    """The id of the key that the request's session stands for; None: it has none, or none that counts here. Raises
    BrokerUnavailable."""
    token = _token(request, _name(request))
    if token is None or not is_of_own_page(request):
        return None
    queue: AsyncOcrQueue = request.app.state.queue
    with broker_errors():
        found: Any = await redis_of(queue).get(keys_of(queue).session(_sum(token)))
    return None if found is None else str(found, "ascii", "replace")


def is_of_own_page(request: Request) -> bool:
    """Whether a page of this gateway made the request, or a person went to its address."""
    site = request.headers.get("sec-fetch-site")
    is_safe = request.method in _SAFE
    if site is not None:
        is_visit = is_safe and request.headers.get("sec-fetch-mode") == "navigate"
        return site == "same-origin" or (site == "none" and is_safe) or is_visit
    # browsers send it over TLS and to this machine only; an origin with all that may change something
    origin = request.headers.get("origin")
    if origin is None:
        return is_safe
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    except ValueError:  # no browser sends it
        return False


def is_by_tls(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy before us. Who claims it wrongly gets a cookie that it
    does not send back."""
    # of several proxies the first has met the browser
    by_proxy = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return request.url.scheme == "https" or by_proxy == "https"


def _name(request: Request) -> str:
    return _COOKIE_OF_TLS if is_by_tls(request) else COOKIE


def _token(request: Request, name: str) -> str | None:
    token = request.cookies.get(name)
    return token if token and len(token) <= _LONGEST else None


def _sum(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
