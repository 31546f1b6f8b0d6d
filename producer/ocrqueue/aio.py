"""AsyncOcrQueue: OcrQueue for apps with an event loop. It talks to Redis in the loop, and to storage from threads."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, Unpack, cast

from ocrqueue.aio_dead_letters import AsyncDeadLetters
from ocrqueue.cleaning import Cleaned, Cleaning, results_life_s
from ocrqueue.client import NOT_PICKLED, batch_to_close, check_has_result
from ocrqueue.core import JobStatus, QueueInfo, Registry, State, WorkerInfo, known_engines, queues
from ocrqueue.core import pauses as core_pauses
from ocrqueue.core.admission import Admission
from ocrqueue.core.aio_registry import AsyncRegistry
from ocrqueue.core.attempts import Attempt
from ocrqueue.core.installation import parse_live_workers, workers_by_engine, workers_named
from ocrqueue.core.keys import Keys
from ocrqueue.core.pauses import Pause
from ocrqueue.core.queue_places import QueuePlace
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.core.redis_errors import app_errors
from ocrqueue.core.registry import cancelled_state
from ocrqueue.core.script_arguments import PIPELINE
from ocrqueue.core.steps import Await, Call, Commands, Move, Request, Sleep, Steps
from ocrqueue.core.tenants import TenantInfo
from ocrqueue.core.tenants import tenants as core_tenants
from ocrqueue.core.timeouts import check_seconds
from ocrqueue.document import Document, Page, document_from_json
from ocrqueue.errors import BrokerUnavailable, JobUnknown, OcrQueueError, StorageNotFound
from ocrqueue.job import Job
from ocrqueue.job.references import is_reference
from ocrqueue.operations.faces import AsyncManyJobs, Result
from ocrqueue.operations.given_jobs import handles_given, ids_given
from ocrqueue.operations.pages import SPLIT_FIELDS, PagesRead
from ocrqueue.operations.plan import Operations
from ocrqueue.routing import EnginesNow, EngineStatus, Router, engine_statuses
from ocrqueue.routing.engine_status import ask, engines_to_measure, understand
from ocrqueue.settings import ClientSettings, load_client_settings
from ocrqueue.settings.overrides import ClientOverrides
from ocrqueue.storage import Storage, check_session, open_storage
from ocrqueue.submitting.aio_sending import submit_in_order
from ocrqueue.submitting.image_input import ImageInput
from ocrqueue.submitting.pending import PendingJobs
from ocrqueue.submitting.submission import JobFields, begin_job, finish_job, is_one, may_block, several, several_async
from ocrqueue.submitting.together import Together
from ocrqueue.tracing import current_traceparent, submission_span
from ocrqueue.waiting.aio_subscriber import AsyncSubscriber
from ocrqueue.waiting.watch import Watch

if TYPE_CHECKING:
    import boto3.session
    import redis.asyncio

Answer = TypeVar("Answer")
AsyncProgressCallback = Callable[[JobStatus], Awaitable[None] | None]
"""A plain function, or one that is awaited."""


class AsyncSubmittedJob:
    """One job, known by its id. The methods are those of SubmittedJob, awaitable."""

    __slots__ = ("_queue", "_queued", "id")

    def __init__(self, queue: AsyncOcrQueue, job_id: str, queued: JobStatus | None = None) -> None:
        self._queue = queue
        self.id = job_id
        self._queued = queued

    def __repr__(self) -> str:
        return f"AsyncSubmittedJob({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, AsyncSubmittedJob) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    async def status(self) -> JobStatus:
        """Raises JobUnknown."""
        return await self._queue.status(self.id)

    async def wait(self, timeout: float | None = None, on_progress: AsyncProgressCallback | None = None) -> JobStatus:
        """Raises JobWaitTimeout, JobUnknown."""
        async for _, status in self._queue.watch([self], timeout, on_progress):
            return status
        raise AssertionError("a watch ends with a status or an error")

    async def result(self, timeout: float | None = None) -> Document:
        """Raises JobWaitTimeout, JobNotFinished, JobCancelled, JobUnknown, and the job's own error if it failed."""
        return await self._queue.document(await (self.status() if timeout == 0 else self.wait(timeout)))

    def pages(self, timeout: float | None = None, *, in_order: bool = True) -> AsyncGenerator[Page, None]:
        """See SubmittedJob.pages."""
        return self._queue.pages(self.id, timeout, in_order)

    async def page(self, number: int) -> Page:
        """See SubmittedJob.page."""
        return await self._queue.page(self.id, number)

    async def pages_read(self) -> tuple[int, ...]:
        """See SubmittedJob.pages_read."""
        return await self._queue.pages_read(self.id)

    async def place(self) -> QueuePlace | None:
        """See OcrQueue.place."""
        return await self._queue.place(self.id)

    def progress(self, timeout: float | None = None) -> AsyncGenerator[JobStatus, None]:
        """See SubmittedJob.progress."""
        return self._queue.progress(self.id, timeout)

    async def cancel(self) -> State:
        """Raises JobUnknown."""
        return await self._queue.cancel(self.id)

    async def replay(self) -> None:
        """Raises JobUnknown, JobNotFailed."""
        await self._queue.replay(self.id)

    async def history(self) -> tuple[Attempt, ...]:
        """Raises JobUnknown, JobEnded."""
        return await self._queue.history(self.id)

    async def delete(self) -> bool:
        """Raises JobUnknown, StorageUnavailable, StorageDenied."""
        return await self._queue.delete(self.id)


def status_when_queued(job: AsyncSubmittedJob) -> JobStatus | None:
    """What submit() was told of the job in the same round trip; None: it was not, or is an earlier one."""
    return job._queued  # of the class above


def redis_of(queue: AsyncOcrQueue) -> redis.asyncio.Redis:
    """Where the client asks Redis, for the gateway, which keeps things of its own there; closed with the client."""
    return queue._registry.client  # of the class below


def keys_of(queue: AsyncOcrQueue) -> Keys:
    """The names of what this installation has there."""
    return queue._registry.keys  # of the class below


class AsyncOcrQueue(AsyncManyJobs):
    """A connection to one installation, for one event loop."""

    def __init__(
        self,
        settings: ClientSettings | None = None,
        *,
        s3_session: boto3.session.Session | None = None,
        **overrides: Unpack[ClientOverrides],
    ) -> None:
        """Raises SettingsInvalid."""
        self.settings = load_client_settings(settings, **overrides)
        check_session(s3_session)
        self._s3_session = s3_session
        self._registry = AsyncRegistry(self.settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriber = AsyncSubscriber(self.settings, self._registry.client, self._registry.statuses)
        self._router = Router(self.settings, self._read_engines_from_thread)
        self._together = self._new_together()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(NOT_PICKLED.format(type(self).__name__))

    async def close(self) -> None:
        # a thread may still build what was to be submitted: what it asks now would connect again
        self._loop = None
        await self._together.close()
        await self._subscriber.close()
        await self._registry.close()
        if "_blocking_registry" in self.__dict__:
            self._blocking_registry.close()

    @cached_property
    def storage(self) -> Storage:
        return open_storage(self.settings, self._s3_session)

    @cached_property
    def _operations(self) -> Operations:
        return Operations(self._registry.arguments, lambda: self.storage)

    async def _do(self, steps: Steps[Result]) -> Result:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                request = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as stop:
                return cast("Result", stop.value)
            try:
                answer, error = await self._answer(request), None
            except BaseException as raised:
                error = raised

    async def _answer(self, request: Request) -> Any:
        match request:
            case Move(name, arguments):
                return await self._registry.run(name, arguments)
            case Commands(commands):
                return await self._registry.commands(commands)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Call(function):
                return await asyncio.to_thread(function)
            case Await(awaitable):
                return await awaitable

    async def submit(
        self, image: ImageInput, *, wait_for_room: float | None = 0, **fields: Unpack[JobFields]
    ) -> AsyncSubmittedJob:
        """Queue one image; see OcrQueue.submit."""
        if wait_for_room == 0 and isinstance(image, str) and (made := self._made_at_once(image, fields)) is not None:
            return await self._submit_one(made)
        (job,) = await self.submit_many([image], wait_for_room=wait_for_room, **fields)
        return job

    def _made_at_once(self, image: str, fields: JobFields) -> Job | None:
        """The job of a reference, where nothing is to be read or asked for it: no thread is needed."""
        if not is_reference(image):
            return None
        is_ready = True

        def prepare(job: Job) -> Job:
            nonlocal is_ready
            prepared = self._router.prepare_at_once(job)
            is_ready = prepared is not None
            return job if prepared is None else prepared

        made = begin_job(image, self.settings, prepare, fields).job
        return made if is_ready else None

    async def _submit_one(self, job: Job) -> AsyncSubmittedJob:
        submitted: list[AsyncSubmittedJob] = []
        with submission_span(self.settings, submitted):
            # jobs that are sent in one step are of one trace
            together = self._together if current_traceparent() is None else self._new_together()
            queued = await together.submit(job)
            submitted.append(AsyncSubmittedJob(self, queued.job_id, queued.status))
        return submitted[0]

    def _new_together(self) -> Together:
        return Together(self._registry.arguments, self._registry.submit_jobs)

    async def submit_many(
        self,
        images: Iterable[ImageInput] | AsyncIterable[ImageInput],
        *,
        wait_for_room: float | None = 0,
        close_batch: bool = False,
        **fields: Unpack[JobFields],
    ) -> list[AsyncSubmittedJob]:
        """Queue many images in order; see OcrQueue.submit_many. An iterable is consumed in a thread."""
        batch = batch_to_close(fields) if close_batch else None
        submitted: list[AsyncSubmittedJob] = []
        with submission_span(self.settings, submitted):
            try:
                async with aclosing(self._submitting(images, wait_for_room, fields)) as handles:
                    async for job in handles:
                        submitted.append(job)  # it holds those before an error
            except OcrQueueError as error:
                error.submitted = submitted
                raise
        if batch is not None:
            await self.batch(batch[0], tenant=batch[1]).close()
        return submitted

    async def submit_iter(
        self,
        images: Iterable[ImageInput] | AsyncIterable[ImageInput],
        *,
        wait_for_room: float | None = 0,
        **fields: Unpack[JobFields],
    ) -> AsyncGenerator[AsyncSubmittedJob, None]:
        """See OcrQueue.submit_iter."""
        async with aclosing(self._submitting(images, wait_for_room, fields)) as handles:
            async for job in handles:
                yield job

    async def _submitting(
        self, images: Iterable[ImageInput] | AsyncIterable[ImageInput], wait_for_room: float | None, fields: JobFields
    ) -> AsyncGenerator[AsyncSubmittedJob, None]:
        given = several_async(images, fields) if isinstance(images, AsyncIterable) else several(images, fields)
        self._loop = asyncio.get_running_loop()
        pending = PendingJobs(
            lambda image: begin_job(image, self.settings, self._router.prepare, fields),
            lambda draft: finish_job(draft, lambda: self.storage, self._announce_from_thread),
            self.settings.upload_threads,
            alone=is_one(images),
        )
        admission = Admission(self._registry.arguments, wait_for_room)
        all_there, submit = not may_block(images), self._registry.submit
        async with aclosing(submit_in_order(given, pending, admission, submit, all_there=all_there)) as queued:
            async for job_ids in queued:
                for job_id in job_ids:
                    yield AsyncSubmittedJob(self, job_id)

    def _announce_from_thread(self, name: str, job_id: str) -> bool:
        """For uploads; see Registry.announce_input."""
        return self._wait_in_thread(self._registry.announce_input(name, job_id))

    def _read_engines_from_thread(self) -> EnginesNow:
        return self._wait_in_thread(self._read_engines())

    def _wait_in_thread(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """In a thread beside the event loop, such as those that check and upload images have."""
        if self._loop is None:
            question.close()
            raise RuntimeError("no submission is on its way")
        return asyncio.run_coroutine_threadsafe(question, self._loop).result()

    async def _read_engines(self) -> EnginesNow:
        engines = engines_to_measure(self.settings)
        with app_errors():
            async with self._registry.client.pipeline(transaction=False) as pipeline:
                ask(pipeline, self._registry.keys, engines)
                return understand(await pipeline.execute(), self.settings, engines)

    def job(self, job_id: str) -> AsyncSubmittedJob:
        """A job that was submitted earlier, here or elsewhere. This does not ask Redis."""
        return AsyncSubmittedJob(self, job_id)

    async def status(self, job_id: str) -> JobStatus:
        """Raises JobUnknown, or JobEnded if only the end is remembered."""
        return await self._registry.status(job_id)

    async def statuses(self, job_ids: Sequence[str]) -> list[JobStatus | None]:
        """One JobStatus for each id, or None if it is unknown, in one round trip for each 500."""
        return await self._registry.statuses(ids_given(job_ids))

    async def results(self, job_ids: Sequence[str]) -> AsyncGenerator[tuple[JobStatus | None, Document | None], None]:
        """See OcrQueue.results."""
        ids = ids_given(job_ids)
        for start in range(0, len(ids), PIPELINE):
            for status in await self.statuses(ids[start : start + PIPELINE]):
                has_result = status is not None and status.state in WITH_RESULT
                yield status, await self.document(status) if status is not None and has_result else None

    async def cancel(self, job_id: str) -> State:
        """Raises JobUnknown."""
        # the first call imports Celery, of whose messages it has some
        arguments = await asyncio.to_thread(self._registry.arguments.cancel, [job_id])
        (answer,) = await self._registry.run("cancel", arguments)
        return cancelled_state(job_id, answer)

    @cached_property
    def dead_letters(self) -> AsyncDeadLetters:
        """See OcrQueue.dead_letters."""
        return AsyncDeadLetters(self._in_thread)

    async def _in_thread(self, function: Callable[[Registry], Answer]) -> Answer:
        return await asyncio.to_thread(function, self._blocking_registry)

    @cached_property
    def _blocking_registry(self) -> Registry:
        """A client for calls that run in threads: one for all of them, with connections of its own."""
        return Registry(self.settings)

    async def engines(self) -> dict[str, list[WorkerInfo]]:
        """See OcrQueue.engines."""
        return await self._in_thread(known_engines)

    async def engine_statuses(self) -> list[EngineStatus]:
        """See OcrQueue.engine_statuses."""
        return await self._in_thread(engine_statuses)

    async def queues(self) -> list[QueueInfo]:
        """See OcrQueue.queues."""
        return await self._in_thread(queues)

    async def tenants(self) -> list[TenantInfo]:
        """See OcrQueue.tenants."""
        return await self._in_thread(core_tenants)

    async def pause(
        self,
        *,
        engine: str | None = None,
        lane: str | None = None,
        tenant: str | None = None,
        reason: str = "",
        who: str | None = None,
    ) -> bool:
        """See OcrQueue.pause."""
        kind, name = core_pauses.the_one(engine, lane, tenant)
        core_pauses.check_name(kind, name)
        core_pauses.check_engine(kind, name, workers_by_engine(await self.workers(), self.settings))
        is_new = await self._registry.run("pause", self._registry.arguments.pause(kind, name, core_pauses.note(reason)))
        cursor: str | None = core_pauses.FIRST_CURSOR
        while cursor is not None:
            arguments = self._registry.arguments.take_back(cursor, core_pauses.LOOKED_AT)
            cursor = core_pauses.next_cursor(await self._registry.run("take_back", arguments))
        await self._do(self._operations.note("pause", {kind: name}, who))
        return bool(is_new)

    async def resume(
        self, *, engine: str | None = None, lane: str | None = None, tenant: str | None = None, who: str | None = None
    ) -> bool:
        """See OcrQueue.resume."""
        kind, name = core_pauses.the_one(engine, lane, tenant)
        core_pauses.check_name(kind, name)
        was_paused = bool(await self._registry.run("resume", self._registry.arguments.resume(kind, name)))
        if was_paused:
            await self._do(self._operations.note("resume", {kind: name}, who))
        return was_paused

    async def pauses(self) -> list[Pause]:
        """All that is paused, since when and why."""
        with app_errors():
            stored = await self._registry.client.hgetall(self._registry.keys.turns())
        return core_pauses.parse_pauses(cast("dict[bytes, bytes]", stored))

    async def workers(self) -> list[WorkerInfo]:
        """The live workers, by name."""
        with app_errors():
            async with self._registry.client.pipeline(transaction=False) as pipeline:
                pipeline.time()
                pipeline.hgetall(self._registry.keys.workers())
                (seconds, _), stored = await pipeline.execute()
        return parse_live_workers(stored, seconds, self.settings)

    async def drain(self, *names: str, who: str | None = None) -> list[WorkerInfo]:
        """See OcrQueue.drain."""
        found = workers_named(names, await self.workers())
        await self._registry.run("drain", self._registry.arguments.drain([worker.holder for worker in found]))
        await self._do(self._operations.note("drain", {"workers": ", ".join(sorted(set(names)))}, who))
        return found

    async def replay(self, job_id: str) -> None:
        """Queue a job that has failed again. Raises JobUnknown, JobNotFailed."""
        await self._do(self._operations.replay_one(job_id))

    async def as_completed(
        self,
        jobs: Iterable[AsyncSubmittedJob],
        timeout: float | None = None,
        on_progress: AsyncProgressCallback | None = None,
    ) -> AsyncGenerator[AsyncSubmittedJob, None]:
        """See OcrQueue.as_completed."""
        async for job, _ in self.watch(jobs, timeout, on_progress):
            yield job

    async def watch(
        self,
        jobs: Iterable[AsyncSubmittedJob],
        timeout: float | None = None,
        on_progress: AsyncProgressCallback | None = None,
    ) -> AsyncGenerator[tuple[AsyncSubmittedJob, JobStatus], None]:
        """Like as_completed, with the final status of each job."""
        handles = handles_given(jobs)
        watch = Watch(self.settings, handles, timeout, progress=on_progress is not None)
        async with aclosing(self._read(watch)) as read:
            async for status in read:
                if on_progress is not None and (told := on_progress(status)) is not None:
                    await told
                if status.finished:
                    yield handles[status.id], status

    async def _read(self, watch: Watch) -> AsyncGenerator[JobStatus, None]:
        try:
            async with aclosing(self._subscriber.read(watch)) as read:
                async for status in read:
                    yield status
        except JobUnknown as error:
            if len(error.job_ids) > 1 or type(why := await self._registry.why_unknown(*error.job_ids)) is JobUnknown:
                raise
            why.job_ids = error.job_ids
            raise why from None

    async def document(self, status: JobStatus) -> Document:
        """The Document of a job with this status."""
        check_has_result(status)
        return await asyncio.to_thread(self._read_document, status.result or "")

    def _read_document(self, uri: str) -> Document:
        return document_from_json(self.storage.read_uri(uri)).bind(self.storage)

    async def pages(self, job_id: str, timeout: float | None, in_order: bool) -> AsyncGenerator[Page, None]:
        """See SubmittedJob.pages."""
        read = PagesRead(job_id, in_order)
        watch = Watch(self.settings, [job_id], timeout, progress=True)
        async with aclosing(self._read(watch)) as statuses:
            async for status in statuses:
                if status.finished:
                    rest = read.rest(await self.document(status))
                    # pages of a large Document are read as they are asked for
                    while (page := await asyncio.to_thread(next, rest, None)) is not None:
                        yield page
                    return
                try:
                    if not read.is_split:
                        read.learn(await self._registry.hmget(self._registry.keys.record(job_id), SPLIT_FIELDS))
                    async with aclosing(self._pages_now(read)) as pages:
                        async for page in pages:
                            yield page
                except BrokerUnavailable as outage:
                    # the subscription bears it as far as was asked for, or raises it
                    if not outage.may_pass:
                        raise

    async def _pages_now(self, read: PagesRead) -> AsyncGenerator[Page, None]:
        for fields in read.asked():
            errors = await self._registry.hmget(self._registry.keys.parts_done(read.job_id), fields)
            for found in read.found(fields, errors):
                if found.error is not None:
                    yield found.failed()
                    continue
                try:
                    stored = await asyncio.to_thread(self.storage.get, found.key)
                except StorageNotFound:
                    return  # its Document is there at any moment
                for page in document_from_json(stored).bind(self.storage).pages:
                    yield page
            if read.stops_at(fields):
                return

    async def page(self, job_id: str, number: int) -> Page:
        """See SubmittedJob.page."""
        status = await self.status(job_id)
        if not status.finished:
            found = await self._do(self._operations.page(job_id, number))
            if found is not None and found.error is not None:
                return found.failed()
            try:
                if found is not None:
                    return (await asyncio.to_thread(self._read_page, found.key)).page(number)
            except StorageNotFound:
                pass  # its Document is there at any moment
            status = await self.status(job_id)
        document = await self.document(status)
        # of a large Document it is read now
        return await asyncio.to_thread(document.page, number)

    def _read_page(self, key: str) -> Document:
        return document_from_json(self.storage.get(key)).bind(self.storage)

    async def pages_read(self, job_id: str) -> tuple[int, ...]:
        """See SubmittedJob.pages_read."""
        status = await self.status(job_id)
        if status.state in WITH_RESULT:
            return (await self.document(status)).page_numbers
        return await self._do(self._operations.pages(job_id))

    async def progress(self, job_id: str, timeout: float | None) -> AsyncGenerator[JobStatus, None]:
        """See SubmittedJob.progress."""
        watch = Watch(self.settings, [job_id], timeout, progress=True)
        async with aclosing(self._read(watch)) as read:
            async for status in read:
                yield status

    async def clean(
        self, *, older_than_s: float | None = None, dry_run: bool = False, who: str | None = None
    ) -> Cleaned:
        """See OcrQueue.clean; it runs in a thread."""
        check_seconds("older_than_s", older_than_s)

        def run(registry: Registry) -> Cleaned:
            age_s = results_life_s(self.settings) if older_than_s is None else older_than_s
            return Cleaning(registry, self.storage, dry_run, age_s, who=who).run()

        return await self._in_thread(run)
