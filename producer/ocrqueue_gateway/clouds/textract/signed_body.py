"""A body in JSON, and who has sent it: the signature is of the body, which has to come first."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.types import Message

from ocrqueue.errors import ImageEmpty, RequestCutOff, RequestInvalid, RequestTooLarge
from ocrqueue_gateway.access.authentication import caller_of
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.credentials import presented_key
from ocrqueue_gateway.access.signed import announced, verified
from ocrqueue_gateway.access.sigv4 import Authorization, is_signed
from ocrqueue_gateway.clouds.json_files import JsonWithFiles, json_with_files
from ocrqueue_gateway.clouds.textract.errors import MEDIA_TYPE

SERVICE: Final = "textract"
LARGEST_BYTES: Final = 10 * 1024 * 1024
"""Of a document in a request, as Textract has it."""


@asynccontextmanager
async def signed_body(request: Request) -> AsyncIterator[tuple[Caller, JsonWithFiles]]:
    """Its files are kept until the end of the block. A request that is not signed has its key as on every route.

    Raises what json_with_files(), announced(), verified() and caller_of() raise.
    """
    sums = _Sums(request)
    authorization = announced(request, SERVICE) if is_signed(request.scope["headers"]) else None
    if authorization is None:
        await _caller(sums, None)
    async with AsyncExitStack() as stack:
        try:
            coming = Request(request.scope, sums.receive)
            # who has sent it is not known until all of it is here: no more is taken in than the service takes at all
            files = json_with_files(coming, MEDIA_TYPE, "application/json", most_file=LARGEST_BYTES)
            body = await stack.enter_async_context(files)
        except (RequestInvalid, RequestTooLarge, ImageEmpty):
            # what is wrong with it is told to those only who have signed it, once they have sent all of it
            await sums.of_all()
            await _caller(sums, authorization)
            raise
        yield await _caller(sums, authorization), body


async def _caller(sums: _Sums, authorization: Authorization | None) -> Caller:
    if authorization is None:
        return await caller_of(sums.request, lambda request: presented_key(request.headers))
    return await verified(sums.request, authorization, await sums.of_all())


@dataclass
class _Sums:
    """Of a body, as it comes in."""

    request: Request
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    is_complete: bool = False

    async def receive(self) -> Message:
        message = await self.request.receive()
        if message["type"] == "http.request":
            self.digest.update(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
        return message

    async def of_all(self) -> str:
        """In hexadecimal digits. Raises RequestCutOff."""
        while not self.is_complete:
            if (await self.receive())["type"] != "http.request":
                raise RequestCutOff()
        return self.digest.hexdigest()
