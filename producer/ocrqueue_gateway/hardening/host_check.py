"""Requests for another host are refused: nobody's page can lead a browser here by a name of its own."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ocrqueue.errors import RequestHostNotAllowed
from ocrqueue_gateway.problems import error_response
from ocrqueue_gateway.settings import GatewaySettings


@dataclass
class HostCheck:
    """ASGI middleware. Probes are answered under any name: they ask by address."""

    app: ASGIApp
    settings: GatewaySettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in ("/healthz", "/readyz", "/metrics"):
            host = host_of(Headers(scope=scope).get("host", ""))
            if not is_allowed(host, self.settings.allowed_hosts):
                await error_response(scope, RequestHostNotAllowed().info, self.settings)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def host_of(header: str) -> str:
    """Without the port, in lower case."""
    if header.startswith("["):  # IPv6
        return header.partition("]")[0].removeprefix("[").lower()
    return header.partition(":")[0].lower()


def is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """`*.example.org` allows any host below example.org; where nothing is allowed by name, any host is."""
    return not allowed or any(
        host == name.lower() or (name.startswith("*.") and host.endswith(name[1:].lower())) for name in allowed
    )
