"""Batch and AsyncBatch: jobs that were submitted under a common name, as both clients hand them out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Protocol, TypeVar

from ocrqueue.core.batches import (
    AsyncProgressCallback,
    BatchStatus,
    ProgressCallback,
    batch_jobs,
    batch_status,
    check_name,
    close_batch,
    wait_for_batch,
)
from ocrqueue.core.bulk import BulkResult
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.core.job_lists import Place
from ocrqueue.core.records import WITH_RESULT, JobStatus
from ocrqueue.core.steps import Steps
from ocrqueue.document import Document
from ocrqueue.operations.plan import Operations

Result = TypeVar("Result")


class Do(Protocol):
    """Takes the steps, as the client does."""

    def __call__(self, steps: Steps[Result], /) -> Result: ...


class AsyncDo(Protocol):
    """The same, awaitable."""

    async def __call__(self, steps: Steps[Result], /) -> Result: ...


class Batch:
    """The jobs of a tenant under one name."""

    __slots__ = ("_do", "_document", "_operations", "name", "tenant")

    def __init__(
        self, do: Do, operations: Operations, document: Callable[[JobStatus], Document], name: str, tenant: str
    ) -> None:
        """Raises BatchInvalid. Asks nothing yet."""
        check_name(name, tenant)
        self._do = do
        self._operations = operations
        self._document = document
        self.name = name
        self.tenant = tenant

    def __repr__(self) -> str:
        return f"Batch({self.name!r}, tenant={self.tenant!r})"

    def status(self) -> BatchStatus:
        """The counts of its jobs by state, in one round trip, however many jobs it has. Raises BatchUnknown."""
        return self._do(batch_status(self._operations.arguments, self.name, self.tenant))

    def close(self, reply_to: str | None = None) -> BatchStatus:
        """Let no more jobs into the batch. You can call this again; a batch that has ended stays as it is.

        `reply_to` is a Celery queue that gets the counts as the task `ocrqueue.batch_finished` when the last job has
        ended, and again after a replay. Raises BatchUnknown, BatchInvalid, and BatchClosed if the batch has ended
        and told another queue, or none.
        """
        return self._do(close_batch(self._operations.arguments, self.name, self.tenant, reply_to))

    def wait(
        self,
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
        *,
        until_closed: bool = False,
    ) -> BatchStatus:
        """Wait until all of its jobs have ended, `timeout` seconds at most (None: without limit).

        `until_closed` also waits until it is closed, if somebody else may still add jobs. `on_progress` gets its
        BatchStatus whenever that has changed. Raises JobWaitTimeout, BatchUnknown.
        """
        return self._do(
            wait_for_batch(
                self._operations.arguments,
                self.name,
                self.tenant,
                timeout,
                on_progress,
                until_closed=until_closed,
            )
        )

    def jobs(self) -> Generator[JobStatus]:
        """Its jobs in the order of their submission; those that were deleted or whose records have expired are left
        out."""
        after: Place | None = None
        while True:
            steps = batch_jobs(self._operations.arguments, self.name, self.tenant, after)
            statuses, after = self._do(steps)
            yield from statuses
            if after is None:
                return

    def results(self) -> Generator[tuple[JobStatus, Document | None]]:
        """What was read, in the order of submission, each read from storage when it is its turn; None for a job without
        a result: its status tells why. Raises StorageUnavailable, StorageDenied."""
        for status in self.jobs():
            yield status, self._document(status) if status.state in WITH_RESULT else None

    def cancel(self, who: str | None = None) -> BulkResult:
        """Cancel waiting jobs, and ask running jobs to stop, like OcrQueue.cancel_many. It does not close the batch."""
        return self._do(self._operations.act("cancel", batch=self.name, tenant=self.tenant or NO_NAME, who=who))


class AsyncBatch:
    """The same, awaitable."""

    __slots__ = ("_do", "_document", "_operations", "name", "tenant")

    def __init__(
        self,
        do: AsyncDo,
        operations: Operations,
        document: Callable[[JobStatus], Awaitable[Document]],
        name: str,
        tenant: str,
    ) -> None:
        """Raises BatchInvalid."""
        check_name(name, tenant)
        self._do = do
        self._operations = operations
        self._document = document
        self.name = name
        self.tenant = tenant

    def __repr__(self) -> str:
        return f"AsyncBatch({self.name!r}, tenant={self.tenant!r})"

    async def status(self) -> BatchStatus:
        """See Batch.status."""
        return await self._do(batch_status(self._operations.arguments, self.name, self.tenant))

    async def close(self, reply_to: str | None = None) -> BatchStatus:
        """See Batch.close."""
        return await self._do(close_batch(self._operations.arguments, self.name, self.tenant, reply_to))

    async def wait(
        self,
        timeout: float | None = None,
        on_progress: AsyncProgressCallback | None = None,
        *,
        until_closed: bool = False,
    ) -> BatchStatus:
        """See Batch.wait."""
        return await self._do(
            wait_for_batch(
                self._operations.arguments,
                self.name,
                self.tenant,
                timeout,
                on_progress,
                until_closed=until_closed,
            )
        )

    async def jobs(self) -> AsyncGenerator[JobStatus, None]:
        """See Batch.jobs."""
        after: Place | None = None
        while True:
            steps = batch_jobs(self._operations.arguments, self.name, self.tenant, after)
            statuses, after = await self._do(steps)
            for status in statuses:
                yield status
            if after is None:
                return

    async def results(self) -> AsyncGenerator[tuple[JobStatus, Document | None], None]:
        """See Batch.results."""
        async for status in self.jobs():
            yield status, await self._document(status) if status.state in WITH_RESULT else None

    async def cancel(self, who: str | None = None) -> BulkResult:
        """See Batch.cancel."""
        return await self._do(self._operations.act("cancel", batch=self.name, tenant=self.tenant or NO_NAME, who=who))
