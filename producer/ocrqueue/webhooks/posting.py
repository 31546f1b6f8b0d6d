"""One request to a receiver, which may be anybody: to a checked address only, without redirects, within a time."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from ipaddress import ip_address
from typing import Final

import httpcore
import httpx

from ocrqueue.addresses import AddressPolicy
from ocrqueue.settings import ClientSettings
from ocrqueue.webhooks.hosts import check_host, webhook_policy

_REDIRECTS: Final = range(300, 400)
_BUSY: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it. `error`: in words, without the URL and without anything that the receiver has said."""

    status: int | None = None
    error: str | None = None
    took_s: float = 0.0
    asked_s: float = 0.0
    """How long the receiver asks us to wait."""

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_off(self) -> bool:
        return self.status == httpx.codes.GONE


class _AddressRefused(Exception):
    pass


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a host once, checks all its addresses, and connects to one of those that it checked.

    The layers above still know the host by its name, so that the Host header, SNI and the certificate check need no
    help.
    """

    def __init__(self, policy: AddressPolicy, resolver: Executor) -> None:
        self._policy, self._resolver = policy, resolver
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        for attempt, address in enumerate(addresses, start=1):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if attempt == len(addresses):
                    raise
        raise httpcore.ConnectError("The host has no address.")

    async def _addresses(self, host: str, port: int) -> list[str]:
        # in threads of our own: a name server that does not answer holds up no other call
        loop = asyncio.get_running_loop()
        addresses = await loop.run_in_executor(self._resolver, _resolve, host, port)
        if not all(self._policy.permits(ip_address(address)) for address in addresses):
            raise _AddressRefused
        return addresses


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def post(url: str, headers: Mapping[str, str], body: str, settings: ClientSettings, resolver: Executor) -> Answer:
    """Never raises for anything that the receiver, its name server or its network does."""
    began = time.monotonic()
    try:
        check_host(url, settings)
    except ValueError as error:
        return Answer(error=f"not sent: the URL {error}")
    answer = await _within(
        settings.webhook_timeout_s, url, headers, body, CheckedBackend(webhook_policy(settings), resolver)
    )
    return Answer(answer.status, answer.error, round(time.monotonic() - began, 3), answer.asked_s)


async def _within(seconds: float, url: str, headers: Mapping[str, str], body: str, backend: CheckedBackend) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            return await _post(httpx.URL(url), headers, body, backend)
    except TimeoutError:
        return Answer(error=f"no answer within {seconds:g} s")
    except Exception as error:
        return Answer(error=_in_words(error))


def _in_words(error: Exception) -> str:
    """Nothing of its own text, which could hold what the receiver has said."""
    match error:
        case _AddressRefused():
            return "not sent: the host has a private, loopback, link-local or reserved address"
        case httpcore.ConnectError() | httpcore.TimeoutException():
            return _no_connection(error)
        case httpcore.NetworkError() | httpcore.ProtocolError():
            return f"the connection was cut off ({type(error).__name__})"
        case socket.gaierror() | UnicodeError():
            return "the host does not resolve"
        case httpx.InvalidURL() | ValueError():
            return "not sent: the URL is not valid"
        case _:
            return f"not sent ({type(error).__name__})"


async def _post(url: httpx.URL, headers: Mapping[str, str], body: str, backend: CheckedBackend) -> Answer:
    """A connection of its own, without cookies, proxies or credentials. Of the answer nothing but its head is read."""
    sent: dict[str | bytes, str | bytes] = {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": f"ocrqueue/{version('ocrqueue')}",
        "Content-Type": "application/json",
        "Connection": "close",
    }
    sent.update(headers)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    async with (
        httpcore.AsyncConnectionPool(ssl_context=_tls_context(), network_backend=backend) as pool,
        pool.stream("POST", target, headers=sent, content=body.encode()) as response,
    ):
        status = response.status
        if status in _REDIRECTS:
            return Answer(status, "it redirects, which is not followed")
        named = httpx.Headers(response.headers)
        asked = named.get("retry-after", "") if status in _BUSY else ""
        return Answer(status, asked_s=float(asked) if asked.isdecimal() and len(asked) < 9 else 0.0)


def _no_connection(error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {cause.verify_message}"
    return "no TLS connection" if isinstance(cause, ssl.SSLError) else "no connection"


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """Trusts certifi's authorities, or those in SSL_CERT_FILE or SSL_CERT_DIR. Takes some 10 ms to make."""
    return httpx.create_ssl_context()
