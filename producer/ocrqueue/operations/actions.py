"""Actions and AsyncActions: what is to be done with many jobs by whoever has time, as both clients hand it out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Unpack

from ocrqueue.core.actions import ActionStatus, Requested
from ocrqueue.core.job_filter import JobFilter, Wanted
from ocrqueue.operations.batches import AsyncDo, Do
from ocrqueue.operations.plan import Operations


class Actions:
    """Asked for by one, done by another: a gateway's replicas go on with each other's. Each has a line in the audit."""

    __slots__ = ("_do", "_operations")

    def __init__(self, do: Do, operations: Operations) -> None:
        self._do = do
        self._operations = operations

    def ask(
        self,
        action: Requested,
        *,
        who: str | None = None,
        owner: str | None = None,
        all_jobs: bool = False,
        dry_run: bool = False,
        ids: Collection[str] | None = None,
        **wanted: Unpack[Wanted],
    ) -> ActionStatus:
        """Have it done with the jobs that are there now; returns at once. `owner`: the tenant on whose behalf.

        `ids`: of those only that have one of these. Raises FilterInvalid, FilterMissing, ActionsFull.
        """
        meant = _meant(ids, **wanted)
        return self._do(self._operations.ask(action, meant, who, owner, all_jobs=all_jobs, dry_run=dry_run))

    def status(self, action_id: str) -> ActionStatus:
        """How far it is. Raises ActionUnknown."""
        return self._do(self._operations.action_status(action_id))

    def carry_out_next(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Do the next one that nobody does, or what is left of it; False where there is none.

        Where `stopping` says so it is left to others at once. Raises BrokerUnavailable; then others go on with it.
        """
        return self._do(self._operations.carry_out_next(stopping))


class AsyncActions:
    """The same, awaitable."""

    __slots__ = ("_do", "_operations")

    def __init__(self, do: AsyncDo, operations: Operations) -> None:
        self._do = do
        self._operations = operations

    async def ask(
        self,
        action: Requested,
        *,
        who: str | None = None,
        owner: str | None = None,
        all_jobs: bool = False,
        dry_run: bool = False,
        ids: Collection[str] | None = None,
        **wanted: Unpack[Wanted],
    ) -> ActionStatus:
        """See Actions.ask."""
        meant = _meant(ids, **wanted)
        return await self._do(self._operations.ask(action, meant, who, owner, all_jobs=all_jobs, dry_run=dry_run))

    async def status(self, action_id: str) -> ActionStatus:
        """See Actions.status."""
        return await self._do(self._operations.action_status(action_id))

    async def carry_out_next(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """See Actions.carry_out_next."""
        return await self._do(self._operations.carry_out_next(stopping))


def _meant(ids: Collection[str] | None, **wanted: Unpack[Wanted]) -> JobFilter:
    """Raises FilterInvalid."""
    meant = JobFilter.of(**wanted)
    return meant if ids is None else meant.named(ids)
