"""Every error that a user can meet: one root, one class a code.

A class states its `code` (stable, for programs), whether a retry can help, and the `remedy` (for people).
`ErrorInfo` is the public form: the only one that enters a record, a Document or a terminal. docs/errors.md is
generated from this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

ENGINE_EXTRAS: Final = frozenset({"tesseract", "keras", "rapid", "vision"})
"""The engines that are extras of ocrqueue-worker. `null` needs none; others are packages of their own."""


class ErrorInfo(BaseModel):
    """An error as data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    message: str
    remedy: str = ""
    retryable: bool = False
    details: dict[str, JsonValue] = {}


_LONGEST_TEXT: Final = 2000
"""Of a message and of a remedy. An engine, or a service behind it, can say anything; a job's record keeps each of its
failures, and Redis all records."""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


class OcrQueueError(Exception):
    """Root of all errors of ocrqueue."""

    code: ClassVar[str] = "internal.error"
    retryable: ClassVar[bool] = False
    remedy: ClassVar[str] = "Report it with the job id and the worker's log lines of that job."
    submitted: Sequence[QueuedJob] = ()
    """For submit_many: the handles of the queued jobs, SubmittedJob or AsyncSubmittedJob; always the first jobs."""
    # of Job and what else can be submitted; typed loosely, since Job is built on these errors
    unsubmitted: Sequence[Any] = ()
    """For submit_many: the images after those that were taken and may not be queued, in order.

    These are Jobs, to be submitted as they are, or the image as given if it never became a job."""

    def __init__(self, message: str | None = None, *, remedy: str | None = None, **details: JsonValue) -> None:
        """`details` must hold nothing secret: they are shown to whoever may read the job."""
        self.message = _cut(message) if message else (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.info = ErrorInfo(
            code=self.code,
            message=self.message,
            remedy=_cut(remedy) if remedy else type(self).remedy,
            retryable=self.retryable,
            details=details,
        )
        super().__init__(f"{self.code}: {self.message} {self.info.remedy}".strip())

    def __reduce__(self) -> tuple[object, ...]:
        return (error_from_info, (self.info,))


class InternalError(OcrQueueError):
    """Something went wrong inside ocrqueue."""


class SettingsInvalid(OcrQueueError):
    """A setting has a value that cannot work."""

    code = "settings.invalid"
    remedy = "Correct the OCRQUEUE_* variable that the message names; docs/settings.md lists them all."
    names: Sequence[str] = ()
    """The names of settings with a wrong value; empty if several settings do not fit together."""


# --- the job and its message -----------------------------------------------------------------------------------


class JobMalformed(OcrQueueError):
    """The job is not what the schema asks for."""

    code = "job.malformed"
    remedy = "Compare it with `ocrqueue schema job`."


class JobSchemaUnsupported(OcrQueueError):
    """The job's schema_version is not one that this worker reads."""

    code = "job.schema_unsupported"
    remedy = "Upgrade the workers before the producers, or send the version that the workers read."


class JobExpired(OcrQueueError):
    """The message expired (its `expires`) before a worker took it."""

    code = "job.expired"
    remedy = "Submit it again, with a later `expires` or none, or start more workers."


class JobUnknown(OcrQueueError):
    """No job has this id: it was never submitted, or its record has expired."""

    code = "job.unknown"
    remedy = "Check the id; records are kept for OCRQUEUE_RECORD_TTL_S seconds after the job ends."
    job_ids: Sequence[str] = ()
    """For a wait: all of its jobs that have no record."""


class JobEnded(JobUnknown):
    """The job has ended, and its record has expired."""

    code = "job.ended"
    remedy = "Its result, if it had one, may still be in storage: results/<id>/result.json."


class JobDeleted(JobEnded):
    """The job was deleted."""

    code = "job.deleted"
    remedy = "Submit the image again if you still want its result."


class DeletionPending(OcrQueueError):
    """The job is deleted, but some of its files are still in storage: their removal goes on, or was interrupted."""

    code = "job.deletion_pending"
    retryable = True
    remedy = (
        "A worker or `ocrqueue reconcile` removes them within minutes. Delete it again to see whether they are gone."
    )


class JobNotFailed(OcrQueueError):
    """Only a job that has failed can be replayed."""

    code = "job.not_failed"
    remedy = "Wait until it has ended. If it ended without a failure, submit it again as a new job."


class FilterMissing(OcrQueueError):
    """An action on many jobs names none of them."""

    code = "filter.missing"
    remedy = "Name a tag, a tenant, a state, an error's code or a time, or ask for all jobs explicitly."


class FilterInvalid(OcrQueueError):
    """No job can match a filter, or the limit is not a positive number."""

    code = "filter.invalid"
    remedy = "Leave the filter out to take jobs of any kind. The tenant `-` means jobs without a tenant."


class ActionUnknown(OcrQueueError):
    """No action on many jobs has this id: it was never asked for, or what came of it has expired."""

    code = "action.unknown"
    remedy = (
        "Check the id; what came of an action is kept for OCRQUEUE_RECORD_TTL_S seconds. Its line in the audit stays."
    )


class ActionsFull(OcrQueueError):
    """Too many actions on many jobs wait to be done."""

    code = "action.too_many"
    retryable = True
    remedy = "Wait until some are done, and ask again. Name more jobs in one action rather than few in many."


class BatchInvalid(OcrQueueError):
    """This is not a valid name of a batch."""

    code = "batch.invalid"
    remedy = "A name has at most 128 letters, digits and the characters _ . - and begins with a letter or digit."


class BatchUnknown(OcrQueueError):
    """No batch has this name and tenant, or the records of all its jobs have expired."""

    code = "batch.unknown"
    remedy = "Check the name and the tenant: the name of a batch belongs to its tenant."


class BatchClosed(OcrQueueError):
    """The batch is closed: nothing more comes into it.

    `details`: submitted (how many jobs of the call were queued: always its first ones).
    """

    code = "batch.closed"
    remedy = "Submit to another batch, or without one."


class CursorInvalid(OcrQueueError):
    """This is not a place where a list of jobs goes on."""

    code = "cursor.invalid"
    remedy = "Give the `next` of the page before, or begin at the start."


class JobNotFinished(OcrQueueError):
    """The job has no result yet."""

    code = "job.not_finished"
    retryable = True
    remedy = "Wait for it: job.result(), job.wait(), or `ocrqueue wait ID`."


class JobWaitTimeout(OcrQueueError, TimeoutError):
    """The job did not end within the time given to wait()."""

    code = "job.wait_timeout"
    retryable = True
    remedy = "Wait longer. `ocrqueue queues` shows whether workers take jobs from the queue."
    job_ids: Sequence[str] = ()
    """All jobs of the wait that have not ended, and then those that have no record."""


class JobCancelled(OcrQueueError):
    """The job was cancelled and has no result."""

    code = "job.cancelled"
    remedy = "Submit it again if you still want the result."


class JobPoison(OcrQueueError):
    """Every delivery of the job killed its worker, and the limit of deliveries is reached."""

    code = "job.poison"
    remedy = (
        "Memory is a likely cause: look for the OOM killer in the workers' kernel log, and at the image. Give the "
        "workers more memory or lower OCRQUEUE_JOB_MEMORY_LIMIT_MIB, then replay the job: `ocrqueue dead replay ID`."
    )


class WorkerStopping(OcrQueueError):
    """The worker stopped in the middle of the job. The job waits for another worker."""

    code = "worker.stopping"
    retryable = True
    remedy = "You need do nothing. A longer OCRQUEUE_SHUTDOWN_GRACE_S lets more jobs finish."


class WorkerLost(OcrQueueError):
    """The process that read the job is gone: killed, or out of memory."""

    code = "worker.lost"
    retryable = True
    remedy = "You need do nothing if the job is read again. Otherwise the worker's log shows what ended the process."


class WorkerAccessBroken(OcrQueueError):
    """The worker cannot reach what every job needs. The job waits for another worker, or until this one can."""

    code = "worker.access_broken"
    retryable = True
    remedy = "The job needs nothing. `ocrqueue top` and the worker's log say what is wrong with the worker."


class WorkerUnknown(OcrQueueError):
    """No live worker has this name."""

    code = "worker.unknown"
    remedy = "`ocrqueue workers` lists those that are alive."


class WorkerDiskFull(OcrQueueError):
    """The worker could not write a temporary file: its disk or quota is full."""

    code = "worker.disk_full"
    retryable = True
    remedy = "Free space in the worker's folder for temporary files (TMPDIR, else /tmp), or give it a larger one."


# --- where the image comes from --------------------------------------------------------------------------------


class SourceInvalid(OcrQueueError):
    """The image reference is not a URI that ocrqueue can read."""

    code = "source.invalid"
    remedy = "Use s3://bucket/key, gs://bucket/object, https://host/path or file:///path."


class SourceSchemeNotAllowed(OcrQueueError):
    """References of this scheme are not allowed here."""

    code = "source.scheme_not_allowed"
    remedy = "Use an allowed scheme, or add it to OCRQUEUE_SOURCE_SCHEMES on the workers."


class SourceHostNotAllowed(OcrQueueError):
    """This host is not on the list of allowed hosts."""

    code = "source.host_not_allowed"
    remedy = "Add the host to OCRQUEUE_SOURCE_HOSTS on the workers."


class SourceBucketNotAllowed(OcrQueueError):
    """This bucket is not on the list of allowed buckets."""

    code = "source.bucket_not_allowed"
    remedy = "Add the bucket to OCRQUEUE_SOURCE_BUCKETS on the workers."


class SourcePathNotAllowed(OcrQueueError):
    """This file lies outside the folders that workers may read."""

    code = "source.path_not_allowed"
    remedy = "Put the file under a folder in OCRQUEUE_SOURCE_FILE_ROOTS, or submit its bytes."


class SourceAddressNotAllowed(OcrQueueError):
    """The host, or one that it redirects to, resolves to a private, loopback, link-local or reserved address."""

    code = "source.address_not_allowed"
    remedy = "Use a public address, or set OCRQUEUE_SOURCE_ALLOW_PRIVATE_ADDRESSES=true on the workers."


class SourceNotFound(OcrQueueError):
    """There is nothing at the image reference."""

    code = "source.not_found"
    remedy = "Check that the object exists and that the reference has no typing error."


class SourceChanged(OcrQueueError):
    """Another file replaced the document while its pages were being read."""

    code = "source.changed"
    remedy = "Leave a job's file unchanged until the job ends. `ocrqueue dead replay ID` reads what is there now."


class SourceBucketNotFound(OcrQueueError):
    """The bucket of the image reference does not exist."""

    code = "source.bucket_not_found"
    remedy = "Check the bucket's name and the S3 endpoint of the workers."


class SourceAccessDenied(OcrQueueError):
    """The image's host refused access."""

    code = "source.access_denied"
    remedy = "Grant the workers' credentials read access, or use a presigned URL that has not expired."


class SourceCredentials(OcrQueueError):
    """The worker's own credentials are missing, expired or not accepted, or its clock is wrong."""

    code = "source.credentials"
    retryable = True
    remedy = "Correct the workers' credentials or their clock. Waiting jobs then go on by themselves."


class SourceHttpError(OcrQueueError):
    """The image's host answered with an error."""

    code = "source.http_error"
    remedy = "Open the reference with another client, and correct what it reports."


class SourceTooManyRedirects(OcrQueueError):
    """The reference redirects too often."""

    code = "source.too_many_redirects"
    remedy = "Use the final address, or raise OCRQUEUE_SOURCE_MAX_REDIRECTS."


class SourceTooLarge(OcrQueueError):
    """The file behind the reference is larger than allowed."""

    code = "source.too_large"
    remedy = "Send a smaller file, or raise OCRQUEUE_SOURCE_MAX_BYTES on the workers."


class SourceTimeout(OcrQueueError):
    """The image could not be fetched in the time allowed."""

    code = "source.timeout"
    retryable = True
    remedy = "Check the host's speed, or raise OCRQUEUE_SOURCE_TIMEOUT_S on the workers."


class SourceUnavailable(OcrQueueError):
    """The image's host cannot be reached, or says that it is overloaded."""

    code = "source.unavailable"
    retryable = True
    remedy = "Check that the host resolves and answers from the workers' network."


# --- the image itself ------------------------------------------------------------------------------------------


class ImageEmpty(OcrQueueError):
    """The file has no bytes."""

    code = "image.empty"
    remedy = "Check how the file was made or uploaded."


class ImageNotRecognised(OcrQueueError):
    """The bytes are not an image in a format that ocrqueue reads."""

    code = "image.not_recognised"
    remedy = (
        "Send PDF, PNG, JPEG, TIFF, WebP, GIF, BMP, HEIC, AVIF, JPEG 2000, PNM or PCX; the content counts, not the "
        "name."
    )


class ImageUnsupported(OcrQueueError):
    """ocrqueue does not read this coding of images. The file itself may be sound."""

    code = "image.unsupported"
    remedy = "Save it as PNG, or as TIFF with LZW or Deflate compression, 8 bits a channel."


class ImageTruncated(OcrQueueError):
    """The image ends before its data is complete."""

    code = "image.truncated"
    remedy = 'Upload the file again; the copy is incomplete. With truncated="read", what is there is read.'


class ImageCorrupt(OcrQueueError):
    """The image's data cannot be decoded."""

    code = "image.corrupt"
    remedy = "Open it in an image editor and save it again."


class ImageTooSmall(OcrQueueError):
    """The image is too small to hold text."""

    code = "image.too_small"
    remedy = "Each side must have at least OCRQUEUE_IMAGE_MIN_SIDE_PX pixels."


class ImageTooLarge(OcrQueueError):
    """The image has more pixels than allowed."""

    code = "image.too_large"
    remedy = "Scale it down, or raise OCRQUEUE_IMAGE_MAX_PIXELS on the workers."


class ImageTooManyPages(OcrQueueError):
    """The image has more pages than allowed."""

    code = "image.too_many_pages"
    remedy = "Split it, or raise OCRQUEUE_IMAGE_MAX_PAGES on the workers."


class PageNotFound(OcrQueueError):
    """There is no page of this number."""

    code = "page.not_found"
    remedy = "Pages count from 1; the Document lists its pages."


class PdfDamaged(OcrQueueError):
    """The PDF cannot be opened: it is damaged, or only its first bytes are those of a PDF."""

    code = "pdf.damaged"
    remedy = "Upload the file again, or open it in a viewer and print it to a new PDF."


class PdfNoPages(OcrQueueError):
    """The PDF has no pages."""

    code = "pdf.no_pages"
    remedy = "Check how the file was made: nothing in it can be read."


class PdfPasswordRequired(OcrQueueError):
    """The PDF is encrypted, and the job has no password."""

    code = "pdf.password_required"
    remedy = "Submit it again with its password: submit(..., password=...) or --password-file."


class PdfPasswordWrong(OcrQueueError):
    """The PDF is encrypted, and the job's password does not open it."""

    code = "pdf.password_wrong"
    remedy = "Give the password that opens it in a viewer."


class PdfEncryptionUnsupported(OcrQueueError):
    """ocrqueue does not read this kind of encrypted PDF, such as one with a certificate."""

    code = "pdf.encryption_unsupported"
    remedy = "Open it in a viewer that can, and save it without encryption."


class PdfTooManyPages(OcrQueueError):
    """The PDF has more pages than allowed."""

    code = "pdf.too_many_pages"
    remedy = "Split it, or raise OCRQUEUE_PDF_MAX_PAGES on the workers."


class PdfPageDamaged(OcrQueueError):
    """This page of the PDF cannot be drawn."""

    code = "pdf.page_damaged"
    remedy = "Open the file in a viewer and print it to a new PDF; the other pages were read."


class PdfPageTooLarge(OcrQueueError):
    """This page of the PDF is so large that its text would be illegible within the allowed pixels."""

    code = "pdf.page_too_large"
    remedy = "Crop or scale the page, or raise OCRQUEUE_IMAGE_MAX_PIXELS on the workers."


class PdfPageTooComplex(OcrQueueError):
    """This page of the PDF has more objects than allowed."""

    code = "pdf.page_too_complex"
    remedy = "Print the page to an image and submit that, or raise OCRQUEUE_PDF_MAX_OBJECTS on the workers."


class PdfPageTooSlow(OcrQueueError):
    """This page of the PDF takes too long to draw."""

    code = "pdf.page_too_slow"
    remedy = "Lower the job's dpi, print the page to an image, or raise OCRQUEUE_PDF_PAGE_TIMEOUT_S on the workers."


class PdfExtraMissing(OcrQueueError):
    """pikepdf is not installed. It puts text into a PDF that was read."""

    code = "pdf.extra_missing"
    remedy = "Install it: pip install 'ocrqueue[pdf]'."


# --- the engine ------------------------------------------------------------------------------------------------


class EngineUnknown(OcrQueueError):
    """No engine has this name here."""

    code = "engine.unknown"
    remedy = "Choose one of `ocrqueue engines`; name an engine of your own in OCRQUEUE_ENGINES."


class EngineUnavailable(OcrQueueError):
    """The engine is known but cannot run on this worker."""

    code = "engine.unavailable"
    remedy = "Install what it needs: pip install 'ocrqueue-worker[ENGINE]' and the system packages in docs/engines.md."


class EngineDeviceMissing(OcrQueueError):
    """The worker does not have the device that the engine should run on."""

    code = "engine.device_missing"
    remedy = "Set OCRQUEUE_KERAS_DEVICE to a GPU that `nvidia-smi -L` lists, or to auto or cpu."


class EngineWeightsMissing(OcrQueueError):
    """The model's weights are not on this worker."""

    code = "engine.weights_missing"
    remedy = (
        "Run `ocrqueue-worker keras fetch MODEL` on the worker; without a network mount the files into "
        "OCRQUEUE_KERAS_WEIGHTS_DIR."
    )


class EngineWeightsCorrupt(OcrQueueError):
    """A file of the model is not the one that its manifest names."""

    code = "engine.weights_corrupt"
    remedy = "Fetch or copy it again: its sha256 must be the manifest's."


class EngineModelInvalid(OcrQueueError):
    """The model directory or its manifest cannot be used."""

    code = "engine.model_invalid"
    remedy = "Compare the directory with docs/keras-models.md; `ocrqueue-worker keras check MODEL` says what is wrong."


class EngineThrottled(OcrQueueError):
    """The engine's service takes no more requests for now."""

    code = "engine.throttled"
    retryable = True
    remedy = (
        "The worker tries again after a pause. If it persists, lower the engine's requests a minute or raise its quota."
    )


class EngineUnreachable(OcrQueueError):
    """The engine's service does not answer, or has a fault."""

    code = "engine.unreachable"
    retryable = True
    remedy = "The worker tries again later. If it persists, check the service's status page and the network."


class EngineAccessDenied(OcrQueueError):
    """The engine's service refuses this worker."""

    code = "engine.access_denied"
    remedy = "Check the credentials, their permissions and the project's billing; docs/engines.md lists them."


class EngineBudgetExhausted(OcrQueueError):
    """The engine's budget for this month is used up."""

    code = "engine.budget_exhausted"
    remedy = "Raise OCRQUEUE_VISION_IMAGES_PER_MONTH, choose another engine, or replay the job next month."


class EngineImageRefused(OcrQueueError):
    """The engine's service does not take this image."""

    code = "engine.image_refused"
    remedy = "Convert or scale down the image, or choose another engine."


class EngineFailed(OcrQueueError):
    """The engine failed on this page."""

    code = "engine.failed"
    remedy = "Try another engine or other options; report the image if it persists."


class EngineTimeout(OcrQueueError):
    """The engine did not finish within its time limit."""

    code = "engine.timeout"
    remedy = (
        "Split or scale down the image, or allow more time: the job's time_limit_s, or OCRQUEUE_SOFT_TIME_LIMIT_S and "
        "OCRQUEUE_HARD_TIME_LIMIT_S on the workers."
    )


class EngineOutOfMemory(OcrQueueError):
    """The engine ran out of memory."""

    code = "engine.out_of_memory"
    remedy = "Scale the image down, or raise OCRQUEUE_JOB_MEMORY_LIMIT_MIB on workers that have the memory."


class LanguageMissing(OcrQueueError):
    """The worker lacks the language pack that the job asks for."""

    code = "language.missing"
    remedy = "Install the pack on the workers."


class LanguageUnsupported(OcrQueueError):
    """The engine does not read this language."""

    code = "language.unsupported"
    remedy = "Choose another engine for it; `ocrqueue engines` lists their languages."


class OptionUnknown(OcrQueueError):
    """The engine has no option of this name."""

    code = "option.unknown"
    remedy = "docs/engines.md lists each engine's options."


class OptionInvalid(OcrQueueError):
    """An engine option has a value that it cannot take."""

    code = "option.invalid"
    remedy = "docs/engines.md lists each option's values."


# --- storage and broker ----------------------------------------------------------------------------------------


class StorageUnavailable(OcrQueueError):
    """The result storage does not answer, or not in time."""

    code = "storage.unavailable"
    retryable = True
    remedy = "Check OCRQUEUE_STORAGE, OCRQUEUE_S3_ENDPOINT and that the server is up."


class StorageCredentials(StorageUnavailable):
    """The credentials for the storage are missing, expired or not accepted, or this machine's clock is wrong."""

    code = "storage.credentials"
    remedy = "Correct the AWS_* variables, the ~/.aws files, the machine's role or its clock. Jobs wait until then."


class StorageDenied(OcrQueueError):
    """The result storage refuses these credentials."""

    code = "storage.denied"
    remedy = "Grant read, write and delete on the bucket in OCRQUEUE_STORAGE to AWS_ACCESS_KEY_ID's user."


class StorageNotFound(OcrQueueError):
    """The object is not in storage."""

    code = "storage.not_found"
    remedy = "It was deleted, or a lifecycle rule of the bucket removed it; submit the image again."


class CleaningRefused(OcrQueueError):
    """Redis knows no job at all, but storage has files of jobs. Nothing was removed."""

    code = "storage.cleaning_refused"
    remedy = (
        "Check OCRQUEUE_REDIS_URL and OCRQUEUE_KEY_PREFIX: they are to name the Redis whose jobs have stored it. If it "
        "was emptied on purpose, submit a job first."
    )


class ResultUnreadable(OcrQueueError):
    """This version cannot read a result in storage. A newer version may have written it. The result is kept."""

    code = "result.unreadable"
    remedy = (
        "Upgrade what reads it, then replay the job; if the object is damaged, delete it and submit the image again."
    )


class CropMissing(OcrQueueError):
    """This word has no crop."""

    code = "crop.missing"
    remedy = "Submit with crops='objects' or crops='archive'."


class OutputMissing(OcrQueueError):
    """The job has no stored file of this format."""

    code = "output.missing"
    remedy = "Submit with outputs=[...], or write the format from the Document: `ocrqueue result -f`."


class BrokerUnavailable(OcrQueueError):
    """Redis does not answer, or not in time, or takes no writes."""

    code = "broker.unavailable"
    retryable = True
    remedy = "Check OCRQUEUE_REDIS_URL and that the server is up."
    may_pass: bool = True
    """Whether it may answer later, by itself. Not so where it refuses the user, or is too old."""


class ConnectionsExhausted(BrokerUnavailable):
    """All connections to Redis that this client may have are in use: too many threads or tasks ask at once."""

    code = "broker.connections_exhausted"
    remedy = "Have fewer threads or tasks ask at once, or raise OCRQUEUE_REDIS_MAX_CONNECTIONS."


class ClientClosed(OcrQueueError):
    """The client was closed while this call waited."""

    code = "client.closed"
    remedy = "Close a client after all that uses it has ended."


class IntakeUnavailable(OcrQueueError):
    """The server from which `ocrqueue intake` takes jobs does not answer."""

    code = "intake.unavailable"
    retryable = True
    remedy = "Check the address that `ocrqueue intake` was given, and the server."


class IntakeDenied(OcrQueueError):
    """The server from which `ocrqueue intake` takes jobs refuses access."""

    code = "intake.denied"
    remedy = (
        "Check the user, password and virtual host in the address that `ocrqueue intake` was given; the user needs to "
        "read the queues ocr.<engine>, and nothing else."
    )


class QueuedJob(Protocol):
    """Whatever represents a job by its id."""

    @property
    def id(self) -> str: ...


class NotReplicated(OcrQueueError):
    """The jobs are queued, but too few replicas of Redis have them. A failover may lose them.

    `details`: wanted, and replicas (how many had all of the jobs in time).
    """

    code = "broker.not_replicated"
    retryable = True
    remedy = (
        "Submit the same again, as the same Job or with the same idempotency_key: it stays one job, and the replicas "
        "are waited for again. If it persists, look at them, or at OCRQUEUE_SUBMIT_REPLICAS."
    )


class QueueFull(OcrQueueError):
    """The engine's queue is full.

    `details`: engine, waiting and limit (jobs), retry_after_s (when there should be room, in whole seconds), submitted
    (how many jobs of the call were queued: always its first ones).
    """

    code = "queue.full"
    retryable = True
    remedy = (
        "Submit the rest later or wait for room (wait_for_room, --wait-for-room), start more workers, "
        "or raise OCRQUEUE_MAX_QUEUE_LENGTH."
    )
    not_replicated: NotReplicated | None = None
    """Set if too few replicas have the jobs in `submitted`."""

    @property
    def retry_after_s(self) -> float:
        """Seconds after which there should be room, by the rate at which the engine's jobs end."""
        value = self.info.details.get("retry_after_s")
        return float(value) if isinstance(value, int | float) else 0.0


class TenantLimited(QueueFull):
    """The tenant has reached a limit of its own.

    `details`: tenant; limit: rate (jobs in a time), waiting (jobs that wait), pages_a_month or budget_a_month; used and
    allowed of it; retry_after_s (when there should be room, in whole seconds); submitted (how many jobs of the call
    were queued: always its first ones).
    """

    code = "tenant.limited"
    remedy = (
        "Submit the rest later, or wait for room (wait_for_room, --wait-for-room); an operator raises the limit with "
        "`ocrqueue tenants limit`."
    )


# --- API keys -----------------------------------------------------------------------------------------------------


class KeyMissing(OcrQueueError):
    """The request has no API key."""

    code = "key.missing"
    remedy = "Send `Authorization: Bearer KEY`; an operator makes a key with `ocrqueue keys create`."


class KeyInvalid(OcrQueueError):
    """No API key is like this one: it was never made, or was revoked."""

    code = "key.invalid"
    remedy = "Check that the key was copied whole, or have another one made with `ocrqueue keys create`."


class KeyExpired(KeyInvalid):
    """The API key has expired."""

    code = "key.expired"
    remedy = "Have another one made with `ocrqueue keys create`."


class KeyForbidden(OcrQueueError):
    """The API key does not permit this.

    `details`: scope, or engine, that it would take.
    """

    code = "key.forbidden"
    remedy = "Use a key that permits it: `ocrqueue keys list` shows scopes and engines."


class KeyRateExceeded(OcrQueueError):
    """The API key is used more often than it may be.

    `details`: retry_after_s.
    """

    code = "key.rate_exceeded"
    retryable = True
    remedy = "Ask again after the seconds in Retry-After; wait for a job with one long request instead of many."


class KeyAttemptsExceeded(OcrQueueError):
    """Too many requests of this address had wrong API keys.

    `details`: retry_after_s.
    """

    code = "key.attempts_exceeded"
    retryable = True
    remedy = "Correct the key, and ask again after the seconds in Retry-After."


class KeyUnknown(OcrQueueError):
    """No API key has this id."""

    code = "key.unknown"
    remedy = "`ocrqueue keys list` shows the ids of all keys."


class KeyRequestInvalid(OcrQueueError):
    """No API key can be made as asked for."""

    code = "key.invalid_request"
    remedy = "`ocrqueue keys create --help` tells what a key can have."


class TenantLimitInvalid(OcrQueueError):
    """A tenant's limit is no such number, or the tenant no such name."""

    code = "tenant.limit_invalid"
    remedy = "`ocrqueue tenants limit --help` tells what each limit can be."


class PauseInvalid(OcrQueueError):
    """Nothing that can be paused or resumed has such a name."""

    code = "pause.invalid"
    remedy = "`ocrqueue queues` shows engines and lanes, `ocrqueue tenants` the tenants."


# --- who is told of ends, and what comes in by itself ----------------------------------------------------------


class WebhookInvalid(OcrQueueError):
    """This URL cannot be told of ends."""

    code = "webhook.invalid"
    remedy = "Give an http:// or https:// URL without a user, a password or a fragment, such as https://host/path."


class WebhookUnknown(OcrQueueError):
    """There is no such webhook, or no such notice: it was never made, or has expired."""

    code = "webhook.unknown"
    remedy = "`ocrqueue webhooks` shows the tenants' webhooks, `ocrqueue webhooks failed` the notices that nobody took."


class WebhookOff(OcrQueueError):
    """The URL has answered 410, and is told nothing more."""

    code = "webhook.off"
    remedy = "Once its receiver wants to be told again: `ocrqueue webhooks enable`."


class WebhooksExtraMissing(OcrQueueError):
    """A package is not installed that is needed to sign and send webhooks."""

    code = "webhook.extra_missing"
    remedy = "Install it: pip install 'ocrqueue[webhooks]'."


class EventRefused(OcrQueueError):
    """The message is not from a topic of Amazon SNS that may send events."""

    code = "event.refused"
    remedy = "Name the topic's ARN in OCRQUEUE_GATEWAY_SNS_TOPICS, if it is yours."


class EventUnverifiable(OcrQueueError):
    """Amazon SNS does not give the certificate that its message is signed with."""

    code = "event.unverifiable"
    retryable = True
    remedy = "Let the gateway reach https://sns.REGION.amazonaws.com. Amazon SNS sends the message again."


# --- requests of the gateway -----------------------------------------------------------------------------------


class RequestInvalid(OcrQueueError):
    """The request is not what the route asks for."""

    code = "request.invalid"
    remedy = "Compare it with the route in /v1/openapi.json."


class RequestNotFound(OcrQueueError):
    """There is no such route."""

    code = "request.not_found"
    remedy = "/v1/openapi.json has all routes."


class RequestMethodNotAllowed(OcrQueueError):
    """The route does not know this method."""

    code = "request.method_not_allowed"
    remedy = "The header Allow names those that it knows."


class RequestTooLarge(OcrQueueError):
    """The body of the request is larger than allowed."""

    code = "request.too_large"
    remedy = "Send a smaller file or give a reference to it; or raise the gateway's limit, which the message names."


class RequestHeadersTooLarge(OcrQueueError):
    """The headers of the request, or its address, are larger than allowed."""

    code = "request.headers_too_large"
    remedy = "Send fields of a job in the body; or raise OCRQUEUE_GATEWAY_MAX_HEADER_BYTES."


class RequestTooSlow(OcrQueueError):
    """The body of the request did not come in time."""

    code = "request.too_slow"
    retryable = True
    remedy = "Send it again, over a better connection."


class RequestCutOff(OcrQueueError):
    """The connection ended before the body of the request did."""

    code = "request.cut_off"
    retryable = True
    remedy = "Send it again: nothing of it was kept."


class RequestMediaType(OcrQueueError):
    """The body is of a kind that the route does not take."""

    code = "request.media_type"
    remedy = "Send what the route takes by /v1/openapi.json, and say so in the header Content-Type."


class RequestHostNotAllowed(OcrQueueError):
    """The gateway is not known by this name."""

    code = "request.host"
    remedy = "Use its own name, or add this one to OCRQUEUE_GATEWAY_ALLOWED_HOSTS."


class RequestInProgress(OcrQueueError):
    """A request with this Idempotency-Key is still being worked on."""

    code = "request.in_progress"
    retryable = True
    remedy = "Wait a moment, and send it again: then it is answered as the first one was."


class IdempotencyMismatch(OcrQueueError):
    """A request with this Idempotency-Key has asked for something else."""

    code = "request.idempotency_mismatch"
    remedy = "Use a key of its own for each job."


class UploadUnsupported(OcrQueueError):
    """The storage of this installation takes no presigned uploads."""

    code = "upload.unsupported"
    remedy = "Send the file with POST /v1/jobs. Presigned URLs need a storage that is S3."


class UploadNoRoom(OcrQueueError):
    """The gateway has no room to take the file in: its disk or quota is full."""

    code = "upload.no_room"
    retryable = True
    remedy = "Free space in the gateway's folder for temporary files (TMPDIR, else /tmp), or give it a larger one."


class PictureUnavailable(OcrQueueError):
    """The page cannot be shown as a picture. What was read of it is there all the same."""

    code = "picture.unavailable"
    remedy = "Open the file that was read with another program; text and words do not need the picture."


# --- the whole system on one machine ---------------------------------------------------------------------------


class LocalSystemFailed(OcrQueueError):
    """A part of the local system did not start, or ended by itself."""

    code = "local.failed"
    remedy = "Read its log in the folder `logs` of the data folder."


def error_classes() -> dict[str, type[OcrQueueError]]:
    """All error classes by code, in the order of their codes."""
    found: dict[str, type[OcrQueueError]] = {}
    todo: list[type[OcrQueueError]] = [OcrQueueError]
    while todo:
        for cls in todo.pop().__subclasses__():
            if cls.__module__ == __name__:
                found[cls.code] = cls
            todo.append(cls)
    return dict(sorted(found.items()))


def error_from_info(info: ErrorInfo) -> OcrQueueError:
    """The exception that `info` describes; for an unknown code, an OcrQueueError that keeps it."""
    cls = error_classes().get(info.code, OcrQueueError)
    # details are not handed on by name: one may be called as an argument is
    error = cls(info.message)
    error.info = info
    # of a newer version's error, too, programs ask these
    error.__dict__.update(code=info.code, retryable=info.retryable)
    error.args = (f"{info.code}: {info.message} {info.remedy}".strip(),)
    return error


def error_info(exception: BaseException) -> ErrorInfo:
    """The public form of any exception. Of a foreign exception it shows only the type, never the text."""
    if isinstance(exception, OcrQueueError):
        return exception.info
    if isinstance(exception, MemoryError):
        return EngineOutOfMemory().info
    return InternalError(f"Unexpected {type(exception).__name__}.").info


def how_to_install(engines: Iterable[str]) -> str:
    """A remedy: how to install workers for these engines."""
    names = list(dict.fromkeys(engines))
    extras = ",".join(name for name in names if name in ENGINE_EXTRAS)
    others = ", ".join(name for name in names if name not in {*ENGINE_EXTRAS, "null"})
    told = f"pip install 'ocrqueue-worker[{extras}]'." if extras else "pip install ocrqueue-worker."
    return f"{told} It does not bring {others}: install the package that does." if others else told
