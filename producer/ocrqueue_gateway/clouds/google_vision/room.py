"""Room for calls by gRPC, and for the messages that they bring: no tenant has all of it.

A message is in memory from its first byte until its images are stored, and whoever sends it may take their time, or
send nothing. So only some are taken in at a time, and half of these at most of one tenant; the others wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Final
from weakref import WeakValueDictionary

from ocrqueue.errors import TenantLimited

MOST_CALLS: Final = 1000
MOST_OF_TENANT: Final = MOST_CALLS // 2
MOST_TAKEN_IN: Final = 8
"""Messages that are in memory at a time, until their images are stored."""


class Room:
    """Of one replica."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._all = asyncio.Semaphore(MOST_TAKEN_IN)
        self._of_tenant: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """As long as a call of the tenant's knows of it."""

    @contextmanager
    def for_call(self, tenant: str) -> Iterator[None]:
        """Raises TenantLimited where half of all possible calls are this tenant's."""
        if self._calls[tenant] >= MOST_OF_TENANT:
            raise TenantLimited(
                f"{MOST_OF_TENANT} calls of the tenant {tenant} are under way, and no more may be.",
                remedy="Wait for some of them to end.",
                tenant=tenant,
                limit="calls",
                used=MOST_OF_TENANT,
                allowed=MOST_OF_TENANT,
            )
        self._calls[tenant] += 1
        try:
            yield
        finally:
            self._calls[tenant] -= 1
            if not self._calls[tenant]:
                del self._calls[tenant]

    @asynccontextmanager
    async def for_message(self, tenant: str) -> AsyncIterator[Callable[[], None]]:
        """Waits for it. What is handed out gives it back before the block's end, at the latest then."""
        own = self._of_tenant.setdefault(tenant, asyncio.Semaphore(MOST_TAKEN_IN // 2))
        with ExitStack() as held:
            for room in (own, self._all):
                await room.acquire()
                held.callback(room.release)
            yield held.close
