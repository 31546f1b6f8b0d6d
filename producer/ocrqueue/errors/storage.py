"""Storage."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class StorageUnavailable(OcrQueueError):
    """The result storage does not answer, or not in time."""

    code = "storage.unavailable"
    retryable = True
    remedy = "Check OCRQUEUE_STORAGE, OCRQUEUE_S3_ENDPOINT and that the server is up."


class StorageCredentials(StorageUnavailable):
    """The credentials for the storage are missing, expired or not accepted, or this machine's clock is wrong."""

    code = "storage.credentials"
    remedy = "Correct the AWS_* variables, the ~/.aws files, the machine's role or its clock."


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
