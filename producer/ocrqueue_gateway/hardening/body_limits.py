"""Bodies and headers have limits, and bodies are to come: nobody holds a connection by sending nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocrqueue.errors import OcrQueueError, RequestHeadersTooLarge, RequestInvalid, RequestTooLarge, RequestTooSlow
from ocrqueue_gateway.problems import error_response
from ocrqueue_gateway.settings import GatewaySettings


@dataclass
class BodyLimits:
    """ASGI middleware. What a route may take less of is its own business."""

    app: ASGIApp
    settings: GatewaySettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self.settings.largest_body_bytes
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        refusal: OcrQueueError | None = None
        if _head_bytes(scope) > self.settings.max_header_bytes:
            refusal = RequestHeadersTooLarge()
        elif not length.isdecimal() or int(length) > most:
            refusal = too_large(most)
        if refusal is not None:
            # without a look at the body: the connection is closed with it unread
            await error_response(scope, refusal.info, self.settings)(scope, receive, send)
            return
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.3: a proxy may have taken it for other requests than we do
            refused = RequestInvalid("The request has both Content-Length and Transfer-Encoding.").info
            await error_response(scope, refused, self.settings, 400, {"connection": "close"})(scope, receive, send)
            return
        await self.app(scope, _Body(receive, self.settings, most).receive, send)


@dataclass
class _Body:
    """Of one request, as it comes in."""

    read: Receive
    settings: GatewaySettings
    most: int
    size: int = 0
    waited_s: float = 0.0
    is_complete: bool = field(default=False)

    async def receive(self) -> Message:
        """Raises RequestTooLarge, RequestTooSlow."""
        if self.is_complete:  # what comes now is that the client has gone
            return await self.read()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.settings.body_timeout_s):
                message = await self.read()
        except TimeoutError:
            raise RequestTooSlow(f"Nothing of the body came for {self.settings.body_timeout_s:g} s.") from None
        self.waited_s += time.monotonic() - began
        if message["type"] != "http.request":
            self.is_complete = True
            return message
        self.size += len(message.get("body", b""))
        self.is_complete = not message.get("more_body", False)
        if self.size > self.most:
            raise too_large(self.most)
        least = self.settings.body_min_rate_bytes
        if not self.is_complete and self.waited_s > self.settings.body_timeout_s and self.size < least * self.waited_s:
            raise RequestTooSlow(f"The body comes with less than {least} bytes a second.")
        return message


def _head_bytes(scope: Scope) -> int:
    """uvicorn limits those that have not come to their end; not those that come at once."""
    headers = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return headers + len(scope.get("raw_path", b"")) + len(scope["query_string"])


def too_large(most: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body has more than {most} bytes.")
