"""What nobody has foreseen is answered as all else is: with the headers of every response, and on a connection that
goes on.

Starlette answers such errors outside of all middleware, where no header is added, and cuts the connection off.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocrqueue_gateway.problems import unforeseen
from ocrqueue_gateway.settings import GatewaySettings


@dataclass
class Unforeseen:
    """ASGI middleware, the innermost."""

    app: ASGIApp
    settings: GatewaySettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception as error:
            # who has got a part of an answer is to see that there is no more
            if has_begun or scope["type"] != "http":
                raise
            await unforeseen(scope, error, self.settings)(scope, receive, send)
