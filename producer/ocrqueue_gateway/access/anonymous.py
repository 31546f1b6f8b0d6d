"""Whether a request without an API key is answered: on one's own machine, or where the setting says so.

"One's own machine" is more than a loopback address to listen on. A proxy on the machine brings requests from anywhere,
and a browser on it those of any page: neither is answered without a key.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from ocrqueue_gateway.settings import GatewaySettings

_OF_PROXIES: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def may_come_without_key(settings: GatewaySettings, request: Request) -> bool:
    """By where the gateway listens, and where the request comes from."""
    if settings.require_keys:
        return False
    if settings.allow_no_keys:
        return not _is_of_another_page(settings, request)
    if not settings.is_local or any(name in request.headers for name in _OF_PROXIES):
        return False
    # a name that leads here is not to let its pages in: DNS rebinding. Names that are set were looked at before.
    if not settings.allowed_hosts and not is_loopback_name(_host_of(request.headers.get("host", ""))):
        return False
    return not _is_of_another_page(settings, request)


def is_loopback_name(host: str) -> bool:
    """Of this very machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_of_another_page(settings: GatewaySettings, request: Request) -> bool:
    """Whether a browser sends it for a page of another origin, which may send some requests without asking first."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") == "cross-site"
    if origin in settings.cors_origins or "*" in settings.cors_origins:
        return False
    try:
        at = urlsplit(origin).netloc.lower()
    except ValueError:  # no browser sends it
        return True
    return at != request.headers.get("host", "").lower()


def _host_of(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
