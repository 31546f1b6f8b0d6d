"""DeadLetters for asyncio; each call runs in a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, Unpack

from ocrqueue.core import JobStatus, Registry
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.core.job_filter import Wanted
from ocrqueue.core.job_lists import JobPage

Answer = TypeVar("Answer")


class InThread(Protocol):
    """Calls the function in a thread, with a connection of its own."""

    def __call__(self, function: Callable[[Registry], Answer], /) -> Awaitable[Answer]: ...


class AsyncDeadLetters:
    """The jobs that failed for a reason that may pass; see DeadLetters."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    async def ids(self, limit: int = 1000) -> list[str]:
        """See DeadLetters.ids."""
        return await self._in_thread(lambda registry: DeadLetters(registry).ids(limit))

    async def list(self, limit: int = 1000) -> list[JobStatus]:
        """See DeadLetters.list."""
        return await self._in_thread(lambda registry: DeadLetters(registry).list(limit))

    async def page(self, *, limit: int = 50, after: str | None = None, **wanted: Unpack[Wanted]) -> JobPage:
        """See DeadLetters.page."""
        return await self._in_thread(lambda registry: DeadLetters(registry).page(limit=limit, after=after, **wanted))

    async def by_code(self, *, most: int = 10_000, **wanted: Unpack[Wanted]) -> dict[str, int]:
        """See DeadLetters.by_code."""
        return await self._in_thread(lambda registry: DeadLetters(registry).by_code(most=most, **wanted))

    async def get(self, job_id: str) -> JobStatus:
        """See DeadLetters.get."""
        return await self._in_thread(lambda registry: DeadLetters(registry).get(job_id))

    async def replay(self, job_id: str) -> None:
        """See DeadLetters.replay."""
        await self._in_thread(lambda registry: DeadLetters(registry).replay(job_id))

    async def drop(self, job_id: str) -> bool:
        """See DeadLetters.drop."""
        return await self._in_thread(lambda registry: DeadLetters(registry).drop(job_id))
