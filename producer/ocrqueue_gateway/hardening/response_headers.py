"""What every response says: its request's id, and what a browser may do with it: nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import uuid_utils
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
SAID: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    # HTML is made of what was read: it may show itself, and do nothing
    (
        b"content-security-policy",
        b"default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
    ),
)
"""Where a route says something else, that counts."""
SAID_BY_HTTPS: Final = (*SAID, (b"strict-transport-security", b"max-age=31536000"))


@dataclass
class ResponseHeaders:
    """ASGI middleware. A request's own X-Request-ID is kept if it is short and plain."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else str(uuid_utils.uuid7())
        scope.setdefault("state", {})["request_id"] = request_id
        # the clients of AWS tell their users of this one
        is_aws = any(name == b"x-amz-target" for name, _ in scope["headers"])

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
                if is_aws:
                    given.append((b"x-amzn-requestid", request_id.encode()))
                names = {name for name, _ in given}
                more = [
                    pair for pair in (SAID_BY_HTTPS if scope["scheme"] == "https" else SAID) if pair[0] not in names
                ]
                message = {**message, "headers": [*given, (b"x-request-id", request_id.encode()), *more]}
            await send(message)

        await self.app(scope, receive, send_with_headers)
