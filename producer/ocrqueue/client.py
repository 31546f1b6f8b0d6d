"""OcrQueue: what an app uses. Blocking; `ocrqueue.aio.AsyncOcrQueue` is the same for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self, Unpack

from ocrqueue.cleaning import Cleaned, Cleaning, results_life_s
from ocrqueue.core import JobStatus, QueueInfo, Registry, State, WorkerInfo, known_engines, live_workers, queues
from ocrqueue.core import pauses as core_pauses
from ocrqueue.core.admission import Admission
from ocrqueue.core.attempts import Attempt
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.core.installation import drain_workers
from ocrqueue.core.pauses import Pause
from ocrqueue.core.queue_places import QueuePlace
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.core.script_arguments import PIPELINE
from ocrqueue.core.steps import Steps, run_steps
from ocrqueue.core.tenants import TenantInfo
from ocrqueue.core.tenants import tenants as core_tenants
from ocrqueue.core.timeouts import check_seconds
from ocrqueue.document import Document, Page, document_from_json
from ocrqueue.errors import (
    BrokerUnavailable,
    JobCancelled,
    JobMalformed,
    JobNotFinished,
    JobUnknown,
    OcrQueueError,
    QueueFull,
    StorageNotFound,
    error_from_info,
)
from ocrqueue.operations.faces import ManyJobs, Result
from ocrqueue.operations.given_jobs import handles_given, ids_given
from ocrqueue.operations.pages import SPLIT_FIELDS, PagesRead
from ocrqueue.operations.plan import Operations
from ocrqueue.routing import EngineStatus, Router, engine_statuses, read_engines
from ocrqueue.storage import Storage, check_session, open_storage
from ocrqueue.submitting.image_input import ImageInput
from ocrqueue.submitting.pending import PendingJobs
from ocrqueue.submitting.sending import Sender, submit_in_order
from ocrqueue.submitting.submission import (
    JobFields,
    Waiting,
    begin_job,
    finish_job,
    is_one,
    may_block,
    several,
)
from ocrqueue.tracing import submission_span
from ocrqueue.waiting.subscriber import Subscriber
from ocrqueue.waiting.watch import Watch

if TYPE_CHECKING:
    import boto3.session

    from ocrqueue.settings import ClientSettings
    from ocrqueue.settings.overrides import ClientOverrides

ProgressCallback = Callable[[JobStatus], None]


NOT_PICKLED: Final = (
    "{0} holds connections, and is neither pickled nor copied. Make one in the other process, and pass a job's id "
    "there: {0}().job(id)."
)


class SubmittedJob:
    """One job, known by its id. Handles with the same id are equal."""

    __slots__ = ("_queue", "id")

    def __init__(self, queue: OcrQueue, job_id: str) -> None:
        self._queue = queue
        self.id = job_id

    def __repr__(self) -> str:
        return f"SubmittedJob({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, SubmittedJob) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def status(self) -> JobStatus:
        """The job now: one round trip to Redis. Raises JobUnknown."""
        return self._queue._registry.status(self.id)

    def wait(self, timeout: float | None = None, on_progress: ProgressCallback | None = None) -> JobStatus:
        """Wait until the job has ended, `timeout` seconds at most (None: without limit).

        `on_progress` gets a JobStatus whenever the job moves on. Raises JobWaitTimeout, JobUnknown.
        """
        for _, status in self._queue.watch([self], timeout, on_progress):
            return status
        raise AssertionError("a watch ends with a status or an error")

    def result(self, timeout: float | None = None) -> Document:
        """The Document, once the job has ended: waits `timeout` seconds at most (None: without limit, 0: not at all).

        Raises JobWaitTimeout, which is a TimeoutError, with timeout=0 JobNotFinished, JobCancelled, JobUnknown, and the
        job's own error if it failed.
        """
        return self._queue.document(self.status() if timeout == 0 else self.wait(timeout))

    def pages(self, timeout: float | None = None, *, in_order: bool = True) -> Generator[Page]:
        """The pages as they are read, without waiting for the last; with `in_order=False` as they come.

        This is for documents that are read in parts; the pages of others all come at the end. A page that failed has
        its error. Raises, even after some pages, JobWaitTimeout (`timeout` seconds for all of them), JobCancelled,
        JobUnknown, and the job's own error.
        """
        return self._queue.pages(self.id, timeout, in_order)

    def page(self, number: int) -> Page:
        """Page `number`, as soon as it is read. Raises JobNotFinished before, PageNotFound, and as result()."""
        return self._queue.page(self.id, number)

    def pages_read(self) -> tuple[int, ...]:
        """The numbers of the pages that page() has now. Raises JobUnknown."""
        return self._queue.pages_read(self.id)

    def place(self) -> QueuePlace | None:
        """See OcrQueue.place."""
        return self._queue.place(self.id)

    def progress(self, timeout: float | None = None) -> Generator[JobStatus]:
        """The job as it is now, and again whenever it moves on; the last one is its end.

        Raises JobWaitTimeout after `timeout` seconds, JobUnknown.
        """
        return self._queue.progress(self.id, timeout)

    def cancel(self) -> State:
        """Stop the job: returns "cancelled" (it had not started), "running" (it stops at the next step) or the
        state in which it has ended. Raises JobUnknown."""
        return self._queue._registry.cancel(self.id)

    def replay(self) -> None:
        """Queue the failed job again. Raises JobUnknown, JobNotFailed."""
        self._queue.dead_letters.replay(self.id)

    def history(self) -> tuple[Attempt, ...]:
        """See OcrQueue.history."""
        return self._queue.history(self.id)

    def delete(self) -> bool:
        """See OcrQueue.delete."""
        return self._queue.delete(self.id)


class OcrQueue(ManyJobs):
    """A connection to one installation. Safe to share between threads; close it, or use it in a `with`."""

    def __init__(
        self,
        settings: ClientSettings | None = None,
        *,
        s3_session: boto3.session.Session | None = None,
        **overrides: Unpack[ClientOverrides],
    ) -> None:
        """ClientSettings come from OCRQUEUE_* unless given. `overrides` are fields of ClientSettings, and override
        both. The client connects at first use. `s3_session` has the credentials for this client's bucket; without it
        they are the settings' `s3_access_key_id`, or those that the AWS SDK finds.

        Raises SettingsInvalid.
        """
        from ocrqueue.settings.loading import load_client_settings

        self.settings = load_client_settings(settings, **overrides)
        check_session(s3_session)
        self._s3_session = s3_session
        self._registry = Registry(self.settings)
        self._subscriber = Subscriber(self._registry)
        self._router = Router(self.settings, lambda: read_engines(self._registry))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(NOT_PICKLED.format(type(self).__name__))

    def close(self) -> None:
        self._subscriber.close()
        self._registry.close()

    @cached_property
    def storage(self) -> Storage:
        return open_storage(self.settings, self._s3_session)

    @cached_property
    def _operations(self) -> Operations:
        return Operations(self._registry.arguments, lambda: self.storage)

    def _do(self, steps: Steps[Result]) -> Result:
        return run_steps(self._registry, steps)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """The jobs that failed for a reason that may pass: list, get, replay, drop.

        Other failed jobs can be replayed, too.
        """
        return DeadLetters(self._registry)

    def submit(
        self, image: ImageInput, *, wait_for_room: float | None = 0, **fields: Unpack[JobFields]
    ) -> SubmittedJob:
        """Queue one image. `fields` are those of Job: engine, languages, options, crops, priority, tag, ...

        With the engine `auto`, `fallback` or `compare`, the engines are chosen now, and the record says which and why.
        A path or bytes are uploaded to storage first, and the same content only once. If the queue is full, the call
        waits for room for `wait_for_room` seconds (0: not at all, None: without limit). Raises JobMalformed,
        EngineUnknown, LanguageUnsupported, SourceNotFound, QueueFull, StorageUnavailable; then nothing was queued.
        After BrokerUnavailable the job may be queued. After NotReplicated (see the setting `submit_replicas`) it is
        queued. If you submit it again with the same idempotency key, or as the same Job, it is still one job.
        """
        (job,) = self.submit_many([image], wait_for_room=wait_for_room, **fields)
        return job

    def submit_many(
        self,
        images: Iterable[ImageInput],
        *,
        wait_for_room: float | None = 0,
        close_batch: bool = False,
        **fields: Unpack[JobFields],
    ) -> list[SubmittedJob]:
        """Queue many images in order. `images` is consumed as it goes, in this thread.

        Jobs are sent 500 in a round trip, or half a second after their image was taken, even while `images` blocks.
        Several threads (OCRQUEUE_UPLOAD_THREADS) upload paths and bytes.

        `wait_for_room` is the longest time without room, in seconds (0: do not wait, None: without limit). After it
        QueueFull is raised. Every error of ocrqueue has the handles of the queued jobs in `submitted`; they are always
        the first images. `unsubmitted` has the images after them that were taken from `images`, and all the rest of a
        list: Jobs, to be submitted as they are, or the image if it never became a job. After BrokerUnavailable up to
        500 of those may be queued all the same. If one image is bad, all images before it are queued. NotReplicated
        comes after the last image, when all are queued. An exception of `images` itself has a note that says how many
        are queued. Raises JobMalformed for an `id` or `idempotency_key` with several images, which would make them one
        job.

        With `batch` the jobs are put into the tenant's batch of that name. You can add jobs until it is closed. After
        that BatchClosed is raised, with the queued jobs in `submitted`. `close_batch` closes the batch when all jobs
        are queued; see batch().
        """
        batch = batch_to_close(fields) if close_batch else None
        submitted: list[SubmittedJob] = []
        with submission_span(self.settings, submitted):
            try:
                submitted.extend(self._submitting(images, wait_for_room, fields))
            except OcrQueueError as error:
                error.submitted = submitted
                raise
        if batch is not None:
            self.batch(batch[0], tenant=batch[1]).close()
        return submitted

    def submit_iter(
        self, images: Iterable[ImageInput], *, wait_for_room: float | None = 0, **fields: Unpack[JobFields]
    ) -> Generator[SubmittedJob]:
        """Like submit_many, but yields the handles as their jobs are queued, and keeps none: for endless images.

        `images` is consumed in this thread. Where it blocks, jobs are sent all the same, but their handles come once it
        has given the next image. Before submit_iter raises an error, it has yielded all queued jobs; `submitted` of the
        error is empty.
        """
        yield from self._submitting(images, wait_for_room, fields)

    def _submitting(
        self,
        images: Iterable[ImageInput | Waiting],
        wait_for_room: float | None,
        fields: JobFields,
        on_full: Callable[[QueueFull], None] | None = None,
        *,
        tells: bool = False,
    ) -> Generator[SubmittedJob]:
        given = several(images, fields)
        pending = PendingJobs(
            lambda image: begin_job(image, self.settings, self._router.prepare, fields),
            lambda draft: finish_job(draft, lambda: self.storage, self._registry.announce_input),
            self.settings.upload_threads,
            alone=is_one(images),
        )
        admission = Admission(self._registry.arguments, wait_for_room)
        sender = Sender(pending, admission, partial(self._registry.run_replicated, "submit"), on_full)
        if not tells and may_block(images):
            sender.send_beside()
        for job_ids in submit_in_order(given, sender, all_there=not may_block(images)):
            for job_id in job_ids:
                yield SubmittedJob(self, job_id)

    def job(self, job_id: str) -> SubmittedJob:
        """A job that was submitted earlier, here or elsewhere. This does not ask Redis."""
        return SubmittedJob(self, job_id)

    def status(self, job_id: str) -> JobStatus:
        """See SubmittedJob.status."""
        return self._registry.status(job_id)

    def statuses(self, job_ids: Sequence[str]) -> list[JobStatus | None]:
        """One JobStatus for each id, or None if it is unknown, in one round trip for each 500."""
        return list(self._registry.statuses(ids_given(job_ids)))

    def results(self, job_ids: Sequence[str]) -> Generator[tuple[JobStatus | None, Document | None]]:
        """What was read of each job, in this order, each read from storage when it is its turn. This does not wait.

        The Document is None for a job without a result: its status tells why. The status is None if the id is unknown.
        Raises StorageUnavailable, StorageDenied.
        """
        ids = ids_given(job_ids)
        for start in range(0, len(ids), PIPELINE):
            for status in self.statuses(ids[start : start + PIPELINE]):
                has_result = status is not None and status.state in WITH_RESULT
                yield status, self.document(status) if status is not None and has_result else None

    def cancel(self, job_id: str) -> State:
        """See SubmittedJob.cancel."""
        return self._registry.cancel(job_id)

    def replay(self, job_id: str) -> None:
        """See SubmittedJob.replay."""
        self.dead_letters.replay(job_id)

    def as_completed(
        self,
        jobs: Iterable[SubmittedJob],
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Generator[SubmittedJob]:
        """Yield the jobs as they end. Raises JobWaitTimeout after `timeout` seconds. If some jobs have no record,
        raises JobUnknown after all others. Both have `job_ids`. Outlasts an outage of Redis within `timeout`.
        """
        for job, _ in self.watch(jobs, timeout, on_progress):
            yield job

    def watch(
        self,
        jobs: Iterable[SubmittedJob],
        timeout: float | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Generator[tuple[SubmittedJob, JobStatus]]:
        """Like as_completed, with the final status of each job."""
        handles = handles_given(jobs)
        watch = Watch(self.settings, handles, timeout, progress=on_progress is not None)
        for status in self._read(watch):
            if on_progress is not None:
                on_progress(status)
            if status.finished:
                yield handles[status.id], status

    def _read(self, watch: Watch) -> Generator[JobStatus]:
        try:
            yield from self._subscriber.read(watch)
        except JobUnknown as error:
            if len(error.job_ids) > 1 or type(why := self._registry.why_unknown(*error.job_ids)) is JobUnknown:
                raise
            why.job_ids = error.job_ids
            raise why from None

    def document(self, status: JobStatus) -> Document:
        """The Document of a job with this status. Raises as SubmittedJob.result."""
        check_has_result(status)
        stored = self.storage.read_uri(status.result or "")
        return document_from_json(stored).bind(self.storage)

    def pages(self, job_id: str, timeout: float | None, in_order: bool) -> Generator[Page]:
        """See SubmittedJob.pages."""
        read = PagesRead(job_id, in_order)
        for status in self._read(Watch(self.settings, [job_id], timeout, progress=True)):
            if status.finished:
                yield from read.rest(self.document(status))
                return
            try:
                if not read.is_split:
                    read.learn(self._registry.fields(job_id, SPLIT_FIELDS))
                yield from self._pages_now(read)
            except BrokerUnavailable as outage:
                # the subscription bears it as far as was asked for, or raises it
                if not outage.may_pass:
                    raise

    def _pages_now(self, read: PagesRead) -> Generator[Page]:
        for fields in read.asked():
            for page in read.found(fields, self._registry.parts_done(read.job_id, fields)):
                if page.error is not None:
                    yield page.failed()
                    continue
                try:
                    stored = self.storage.get(page.key)
                except StorageNotFound:
                    return  # its Document is there at any moment
                yield from document_from_json(stored).bind(self.storage).pages
            if read.stops_at(fields):
                return

    def page(self, job_id: str, number: int) -> Page:
        """See SubmittedJob.page."""
        status = self.status(job_id)
        if not status.finished:
            found = self._do(self._operations.page(job_id, number))
            if found is not None and found.error is not None:
                return found.failed()
            try:
                if found is not None:
                    return document_from_json(self.storage.get(found.key)).bind(self.storage).page(number)
            except StorageNotFound:
                pass  # its Document is there at any moment
            status = self.status(job_id)
        return self.document(status).page(number)

    def pages_read(self, job_id: str) -> tuple[int, ...]:
        """See SubmittedJob.pages_read."""
        status = self.status(job_id)
        if status.state in WITH_RESULT:
            return self.document(status).page_numbers
        return self._do(self._operations.pages(job_id))

    def progress(self, job_id: str, timeout: float | None) -> Generator[JobStatus]:
        """See SubmittedJob.progress."""
        yield from self._read(Watch(self.settings, [job_id], timeout, progress=True))

    def engines(self) -> dict[str, list[WorkerInfo]]:
        """The known engines with their live workers."""
        return known_engines(self._registry)

    def engine_statuses(self) -> list[EngineStatus]:
        """The known engines: their workers, waiting jobs by lane, speed, and cost in this month."""
        return engine_statuses(self._registry)

    def queues(self) -> list[QueueInfo]:
        """The lanes of the known engines: their waiting jobs, and the workers that take from them."""
        return queues(self._registry)

    def tenants(self) -> list[TenantInfo]:
        """Those that wait, or have a weight, limits or a pause; most jobs first."""
        return core_tenants(self._registry)

    def pause(
        self,
        *,
        engine: str | None = None,
        lane: str | None = None,
        tenant: str | None = None,
        reason: str = "",
        who: str | None = None,
    ) -> bool:
        """Take no more jobs of an engine, a lane such as `ocr.tesseract.low`, or a tenant, until it is resumed.

        Jobs can still be submitted, and wait. Workers finish what they have begun. Returns False if it was already
        paused. `who` is for the audit, user@host if not given. Raises PauseInvalid, EngineUnknown.
        """
        kind, name = core_pauses.the_one(engine, lane, tenant)
        core_pauses.check_engine(kind, name, self.engines())
        is_new = core_pauses.pause(self._registry, kind, name, reason)
        self._do(self._operations.note("pause", {kind: name}, who))
        return is_new

    def resume(
        self, *, engine: str | None = None, lane: str | None = None, tenant: str | None = None, who: str | None = None
    ) -> bool:
        """Take its jobs again, in their old order. Returns False if it was not paused. Raises PauseInvalid."""
        kind, name = core_pauses.the_one(engine, lane, tenant)
        was_paused = core_pauses.resume(self._registry, kind, name)
        if was_paused:
            self._do(self._operations.note("resume", {kind: name}, who))
        return was_paused

    def pauses(self) -> list[Pause]:
        """All that is paused, since when and why."""
        return core_pauses.pauses(self._registry)

    def workers(self) -> list[WorkerInfo]:
        """The live workers, by name."""
        return live_workers(self._registry)

    def drain(self, *names: str, who: str | None = None) -> list[WorkerInfo]:
        """Tell the workers with these names to end: they take no more jobs, and finish what they have begun first.

        They get the message within the setting `worker_heartbeat_s`, and are gone from `workers()` when they have
        ended. Raises WorkerUnknown if a name is unknown, and then tells no worker.
        """
        found = drain_workers(self._registry, names)
        self._do(self._operations.note("drain", {"workers": ", ".join(sorted(set(names)))}, who))
        return found

    def clean(self, *, older_than_s: float | None = None, dry_run: bool = False, who: str | None = None) -> Cleaned:
        """Remove the files of jobs whose records have expired from storage, and uploaded images that no job needs.

        `older_than_s`: only results that were stored that long ago; None: as long as records and the cache last. With
        `dry_run` it only counts. Raises CleaningRefused, StorageUnavailable, StorageDenied; what was removed by then
        stays removed.
        """
        check_seconds("older_than_s", older_than_s)
        age_s = results_life_s(self.settings) if older_than_s is None else older_than_s
        return Cleaning(self._registry, self.storage, dry_run, age_s, who=who).run()


def submit_as_read(
    queue: OcrQueue,
    images: Iterable[ImageInput | Waiting],
    wait_for_room: float | None,
    fields: JobFields,
    on_full: Callable[[QueueFull], None],
) -> Iterator[SubmittedJob]:
    """Like submit_iter, for `images` that say when none is there now, so that handles come while it waits for the next.

    `on_full` is called once, before the first wait for room."""
    return queue._submitting(images, wait_for_room, fields, on_full, tells=True)


def registry_of(queue: OcrQueue) -> Registry:
    """Where the client asks Redis: for commands, which ask more than apps do. It is closed with the client."""
    return queue._registry


def batch_to_close(fields: JobFields) -> tuple[str, str]:
    """Name and tenant of the batch that the jobs with these fields are put into. Raises JobMalformed."""
    if not isinstance(name := fields.get("batch"), str):
        raise JobMalformed("close_batch needs the name of a batch.")
    return name, fields.get("tenant") or ""


def check_has_result(status: JobStatus) -> None:
    """Raise unless the job ended with a result."""
    if not status.finished:
        raise JobNotFinished(f"Job {status.id} is {status.state}.")
    if status.state == "cancelled":
        raise JobCancelled(f"Job {status.id} was cancelled.")
    if status.state == "failed" and status.error is not None:
        raise error_from_info(status.error)
