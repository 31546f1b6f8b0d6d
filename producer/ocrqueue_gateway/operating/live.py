"""The overview as server-sent events: read once for all who listen at a replica, however many pages are open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from ocrqueue.errors import KeyInvalid, OcrQueueError
from ocrqueue_gateway.access.authentication import is_still_good
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.ending import ENDING_S
from ocrqueue_gateway.operating.overview import OverviewView
from ocrqueue_gateway.problems import problem_of, told_to

_LOOK_S: Final = 2.0
_PING_S: Final = 15
_LONGEST_S: Final = 600.0
"""A browser then comes again by itself, and its key is looked at anew."""
_COME_AGAIN_MS: Final = 2000

_NO_NEWS: Final[dict[str, Any]] = {"at": True, "workers": {"__all__": {"seen_at"}}}
"""What changes with the time alone."""

EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Of each event; its data is an OverviewView as JSON, and of `error` a Problem.",
    "properties": {
        "event": {"type": "string", "enum": ["overview", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}


class LatestOverview:
    """Of one replica: what was read a moment ago is not read again."""

    def __init__(self, read: Callable[[], Awaitable[OverviewView]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._known: OverviewView | None = None
        self._read_at = 0.0

    async def get(self) -> OverviewView:
        """Not older than two seconds."""
        async with self._lock:
            if self._known is None or time.monotonic() - self._read_at >= _LOOK_S:
                self._known = await self._read()
                self._read_at = time.monotonic()
            return self._known


def overview_stream(request: Request, caller: Caller) -> EventSourceResponse:
    """It goes on until the client goes, its key is revoked or expires, or this replica is told to end."""
    return EventSourceResponse(_events(request, caller), ping=_PING_S, shutdown_grace_period=ENDING_S)


async def _events(request: Request, caller: Caller) -> AsyncIterator[ServerSentEvent]:
    latest: LatestOverview = request.app.state.latest_overview
    ending: asyncio.Event = request.app.state.ending
    until = time.monotonic() + _LONGEST_S
    told = ""
    while not ending.is_set() and time.monotonic() < until:
        try:
            if not await is_still_good(request, caller):
                raise KeyInvalid()
            overview = await latest.get()
        except OcrQueueError as error:
            problem = problem_of(told_to(request.scope, error.info), request.app.state.settings.errors_url)
            yield ServerSentEvent(problem.model_dump_json(exclude_none=True), event="error", retry=_COME_AGAIN_MS)
            return
        text = overview.model_dump_json(exclude=_NO_NEWS)
        if text != told:
            told = text
            yield ServerSentEvent(overview.model_dump_json(), event="overview", retry=_COME_AGAIN_MS)
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), _LOOK_S)
