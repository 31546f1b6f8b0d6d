"""What both clients do with many jobs at once, and how they show one job's past."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar, Unpack

from ocrqueue.core.attempts import Attempt
from ocrqueue.core.audit import AuditEntry
from ocrqueue.core.bulk import BulkResult, NamedResult
from ocrqueue.core.job_filter import JobFilter, Wanted
from ocrqueue.core.job_lists import JobPage
from ocrqueue.core.limits import LimitChanges, TenantLimits
from ocrqueue.core.minute_counts import MinuteCounts
from ocrqueue.core.queue_places import QueuePlace
from ocrqueue.core.reading_now import PartInHand, StateCounts
from ocrqueue.core.records import JobStatus
from ocrqueue.core.steps import Steps
from ocrqueue.core.usage import Period, Usage
from ocrqueue.document import Document
from ocrqueue.operations import access
from ocrqueue.operations.access import ApiKeys, AsyncApiKeys
from ocrqueue.operations.actions import Actions, AsyncActions
from ocrqueue.operations.batches import AsyncBatch, Batch
from ocrqueue.operations.plan import Given, Operations

Result = TypeVar("Result")


class ManyJobs(ABC):
    """What OcrQueue does with many jobs, in steps that never hold Redis up; each action leaves a line in the audit."""

    @cached_property
    @abstractmethod
    def _operations(self) -> Operations: ...

    @abstractmethod
    def _do(self, steps: Steps[Result]) -> Result: ...

    @abstractmethod
    def document(self, status: JobStatus) -> Document: ...

    def batch(self, name: str, *, tenant: str = "") -> Batch:
        """The jobs of this tenant that are submitted with `batch=name`.

        This does not ask Redis. Raises BatchInvalid.
        """
        return Batch(self._do, self._operations, self.document, name, tenant)

    @cached_property
    def actions(self) -> Actions:
        """What is to be done with many jobs by whoever has time."""
        return Actions(self._do, self._operations)

    def jobs(self, *, limit: int = 50, after: str | None = None, **wanted: Unpack[Wanted]) -> JobPage:
        """The jobs that match all filters: those that have not ended, then those that have, both with the newest first.

        `after`: the `next` of the page before. A job that moves on between two pages may be on both, or on neither.
        Raises CursorInvalid, FilterInvalid.
        """
        return self._do(self._operations.jobs(JobFilter.of(**wanted), limit, after))

    def cancel_many(self, **given: Unpack[Given]) -> BulkResult:
        """Cancel waiting jobs, and ask running jobs to stop.

        `all_jobs` is needed if no filter is given; otherwise FilterMissing is raised. `dry_run` only counts. `who` is
        for the audit, user@host if not given. `on_progress` gets the number of jobs changed so far. After an
        interruption the same call finishes the rest. Raises FilterInvalid, FilterMissing.
        """
        return self._do(self._operations.act("cancel", **given))

    def replay_many(self, **given: Unpack[Given]) -> BulkResult:
        """Queue failed jobs again, under their ids: dead letters, and any other failure. See cancel_many."""
        return self._do(self._operations.act("replay", **given))

    def drop_many(self, **given: Unpack[Given]) -> BulkResult:
        """Take dead letters off their list; their records stay. See cancel_many."""
        return self._do(self._operations.act("drop", **given))

    def delete_many(self, **given: Unpack[Given]) -> BulkResult:
        """Delete jobs: record, result, crops, and the uploaded image if no other job uses it. Jobs that have not ended
        are cancelled first, and waited for; see BulkResult.still_running. If storage does not answer, they are deleted
        all the same; see BulkResult.left_in_storage. Files that earlier deletions left there are removed, too. See
        cancel_many.
        """
        return self._do(self._operations.act("delete", **given))

    def delete(self, job_id: str, who: str | None = None) -> bool:
        """Delete one job as delete_many does. False if it was running, and has not stopped within a minute.

        Raises JobUnknown. After StorageUnavailable, StorageDenied and DeletionPending it is deleted, and a worker
        removes its files in a while. The same holds for a job that was deleted before.
        """
        return self._do(self._operations.delete_one(job_id, who))

    def delete_ids(self, job_ids: Sequence[str], who: str | None = None) -> NamedResult:
        """Delete these jobs as delete_many does, with one line in the audit."""
        return self._do(self._operations.delete(job_ids, who))

    def history(self, job_id: str) -> tuple[Attempt, ...]:
        """The attempts at a job so far, and its replays: the newest 32, and as many pages that were read; in order.

        Raises JobUnknown, JobEnded.
        """
        return self._do(self._operations.history(job_id))

    def place(self, job_id: str) -> QueuePlace | None:
        """How many jobs are before it in its queue, and how long that should take; None where it does not wait."""
        return self._do(self._operations.place(job_id))

    def minute_counts(self, minutes: int = 180, *, step: int = 1) -> MinuteCounts:
        """How many jobs ended and failed, and how many pages were read, by engine, in the last minutes: up to a day, in
        periods of `step` minutes. Raises FilterInvalid.
        """
        return self._do(self._operations.minute_counts(minutes, step))

    def reading_now(self) -> list[PartInHand]:
        """What workers have in hand: 1000 parts of jobs at most."""
        return self._do(self._operations.reading_now())

    def state_counts(self) -> StateCounts:
        """How many jobs there are in which state."""
        return self._do(self._operations.state_counts())

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """What was done to many jobs at once, the newest first; the last 1000 are kept. Raises FilterInvalid."""
        return self._do(self._operations.audit(limit))

    @cached_property
    def api_keys(self) -> ApiKeys:
        """Who may ask the gateway for what: create, list, revoke."""
        return ApiKeys(self._do, self._operations.arguments)

    def tenant_limits(self, tenant: str) -> TenantLimits:
        """What the tenant may have; None where there is no limit."""
        return self._do(access.tenant_limits(self._operations.arguments, tenant))

    def limit_tenant(self, tenant: str, *, who: str | None = None, **changes: Unpack[LimitChanges]) -> TenantLimits:
        """Change those limits of the tenant that are given, for whatever is submitted from now on; None takes one away.

        `rate`: of jobs, such as 10/s or 5000/h, all at once if need be. `waiting`: jobs and parts of jobs that wait.
        `pages_a_month`; `budget_a_month`: in the currency of the setting engine_page_cost; both of a calendar month in
        UTC, in which each job at work counts as a page. What is beyond is refused: TenantLimited. Raises
        TenantLimitInvalid.
        """
        return self._do(access.limit_tenant(self._operations.arguments, tenant, who, **changes))

    def ended_of_tenant(self, job_id: str, tenant: str) -> bool:
        """Of a job that is remembered as ended or deleted: whether it was this tenant's, which is not empty."""
        return self._do(access.ended_of_tenant(self._operations.arguments, job_id, tenant))

    def usage(self, tenant: str | None = None, *, by: Period = "day", last: int = 31) -> list[Usage]:
        """What the tenant (None: each) has used in the last days, or months, in UTC; the newest first, and none of a
        period without any. Kept for 400 days. Raises FilterInvalid."""
        return self._do(access.tenant_usage(self._operations.arguments, tenant, by, last))


class AsyncManyJobs(ABC):
    """The same, awaitable."""

    @cached_property
    @abstractmethod
    def _operations(self) -> Operations: ...

    @abstractmethod
    async def _do(self, steps: Steps[Result]) -> Result: ...

    @abstractmethod
    async def document(self, status: JobStatus) -> Document: ...

    def batch(self, name: str, *, tenant: str = "") -> AsyncBatch:
        """See OcrQueue.batch."""
        return AsyncBatch(self._do, self._operations, self.document, name, tenant)

    @cached_property
    def actions(self) -> AsyncActions:
        """See OcrQueue.actions."""
        return AsyncActions(self._do, self._operations)

    async def jobs(self, *, limit: int = 50, after: str | None = None, **wanted: Unpack[Wanted]) -> JobPage:
        """See OcrQueue.jobs."""
        return await self._do(self._operations.jobs(JobFilter.of(**wanted), limit, after))

    async def cancel_many(self, **given: Unpack[Given]) -> BulkResult:
        """See OcrQueue.cancel_many."""
        return await self._do(self._operations.act("cancel", **given))

    async def replay_many(self, **given: Unpack[Given]) -> BulkResult:
        """See OcrQueue.replay_many."""
        return await self._do(self._operations.act("replay", **given))

    async def drop_many(self, **given: Unpack[Given]) -> BulkResult:
        """See OcrQueue.drop_many."""
        return await self._do(self._operations.act("drop", **given))

    async def delete_many(self, **given: Unpack[Given]) -> BulkResult:
        """See OcrQueue.delete_many."""
        return await self._do(self._operations.act("delete", **given))

    async def delete(self, job_id: str, who: str | None = None) -> bool:
        """See OcrQueue.delete."""
        return await self._do(self._operations.delete_one(job_id, who))

    async def delete_ids(self, job_ids: Sequence[str], who: str | None = None) -> NamedResult:
        """See OcrQueue.delete_ids."""
        return await self._do(self._operations.delete(job_ids, who))

    async def history(self, job_id: str) -> tuple[Attempt, ...]:
        """See OcrQueue.history."""
        return await self._do(self._operations.history(job_id))

    async def place(self, job_id: str) -> QueuePlace | None:
        """See OcrQueue.place."""
        return await self._do(self._operations.place(job_id))

    async def minute_counts(self, minutes: int = 180, *, step: int = 1) -> MinuteCounts:
        """See OcrQueue.minute_counts."""
        return await self._do(self._operations.minute_counts(minutes, step))

    async def reading_now(self) -> list[PartInHand]:
        """See OcrQueue.reading_now."""
        return await self._do(self._operations.reading_now())

    async def state_counts(self) -> StateCounts:
        """See OcrQueue.state_counts."""
        return await self._do(self._operations.state_counts())

    async def audit(self, limit: int = 100) -> list[AuditEntry]:
        """See OcrQueue.audit."""
        return await self._do(self._operations.audit(limit))

    @cached_property
    def api_keys(self) -> AsyncApiKeys:
        """See OcrQueue.api_keys."""
        return AsyncApiKeys(self._do, self._operations.arguments)

    async def tenant_limits(self, tenant: str) -> TenantLimits:
        """See OcrQueue.tenant_limits."""
        return await self._do(access.tenant_limits(self._operations.arguments, tenant))

    async def limit_tenant(
        self, tenant: str, *, who: str | None = None, **changes: Unpack[LimitChanges]
    ) -> TenantLimits:
        """See OcrQueue.limit_tenant."""
        return await self._do(access.limit_tenant(self._operations.arguments, tenant, who, **changes))

    async def ended_of_tenant(self, job_id: str, tenant: str) -> bool:
        """See OcrQueue.ended_of_tenant."""
        return await self._do(access.ended_of_tenant(self._operations.arguments, job_id, tenant))

    async def usage(self, tenant: str | None = None, *, by: Period = "day", last: int = 31) -> list[Usage]:
        """See OcrQueue.usage."""
        return await self._do(access.tenant_usage(self._operations.arguments, tenant, by, last))
