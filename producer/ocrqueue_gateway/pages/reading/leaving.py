"""Browsers leave: who goes on to the next page does not wait for the one before any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from ocrqueue.errors import RequestCutOff

T = TypeVar("T")


async def while_there(request: Request, doing: Coroutine[Any, Any, T]) -> T:
    """What `doing` gives; it is given up when the client has gone. Raises RequestCutOff then."""
    done = asyncio.ensure_future(doing)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([done, gone], return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise RequestCutOff()
        return done.result()
    finally:
        for each in (done, gone):
            each.cancel()
        await asyncio.gather(done, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
