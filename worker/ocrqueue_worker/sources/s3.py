"""s3:// references, read with the workers' own credentials."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final

from ocrqueue.errors import (
    OcrQueueError,
    SourceAccessDenied,
    SourceBucketNotAllowed,
    SourceBucketNotFound,
    SourceHttpError,
    SourceInvalid,
    SourceNotFound,
    SourceTooLarge,
    SourceUnavailable,
)
from ocrqueue.job.references import split_s3_uri
from ocrqueue.settings import Settings
from ocrqueue.storage import Storage
from ocrqueue.storage.s3 import S3Storage
from ocrqueue.storage.s3_client import S3_ERRORS, S3Failure, s3_client, s3_failure
from ocrqueue_worker.sources.deadline import Deadline

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_KEY_BYTES: Final = 1024
_CHUNK: Final = 64 * 1024
_NO_OBJECT: Final = "ocrqueue-probe"


def fetch_s3(uri: str, settings: Settings, storage: Storage, deadline: Deadline) -> bytes:
    """The object's bytes. Raises as fetch() does."""
    bucket, key = split_s3_uri(uri)
    # Some servers and proxies resolve dot segments, which would lead out of the bucket that is checked here.
    if not _BUCKET.fullmatch(bucket) or {".", ".."} & set(key.split("/")) or len(key.encode()) > _KEY_BYTES:
        raise SourceInvalid("Not an s3://bucket/key reference: the bucket's name or the key is not valid.")
    own = isinstance(storage, S3Storage) and storage.bucket == bucket
    if settings.source_buckets and bucket not in settings.source_buckets and not own:
        raise SourceBucketNotAllowed(f"The bucket {bucket!r} is not on the list of allowed buckets.")
    # botocore's timeouts bound the silence of each attempt, not the whole.
    return deadline.bound(lambda: _read(bucket, key, settings, deadline))


def check_s3_credentials(bucket: str, settings: Settings) -> None:
    """Raises SourceAccessDenied where the server does not know these credentials.

    Asks for an object that is not there: an answer that this may not be told is an answer to somebody known.
    """
    try:
        s3_client(settings).get_object(Bucket=bucket, Key=_NO_OBJECT)
    except S3_ERRORS as error:
        failure = s3_failure(error)
        if failure.is_about_credentials:
            raise _source_error(failure, bucket, _NO_OBJECT) from None


def _read(bucket: str, key: str, settings: Settings, deadline: Deadline) -> bytes:
    try:
        answer = s3_client(settings).get_object(Bucket=bucket, Key=key)
        body, taken = answer["Body"], BytesIO()
        try:
            _check_size(answer.get("ContentLength", 0), settings)
            while chunk := body.read(_CHUNK):
                deadline.left()
                taken.write(chunk)
                _check_size(taken.tell(), settings)
        finally:
            body.close()
    except S3_ERRORS as error:
        raise _source_error(s3_failure(error), bucket, key) from None
    return taken.getvalue()


def _check_size(size: int, settings: Settings) -> None:
    if size > settings.source_max_bytes:
        raise SourceTooLarge(f"The object is larger than {settings.source_max_bytes} bytes.")


def _source_error(failure: S3Failure, bucket: str, key: str) -> OcrQueueError:
    uri = f"s3://{bucket}/{key[:200]}"
    match failure.kind:
        case "unavailable":
            return SourceUnavailable(f"{uri}: {failure.detail}.")
        case "denied":
            return SourceAccessDenied(f"{uri}: {failure.detail}.")
        case "no_bucket":
            return SourceBucketNotFound(f"The bucket {bucket!r} does not exist.")
        case "no_key":
            return SourceNotFound(f"There is no object {uri}.")
        case "wrong_region":
            return SourceHttpError(
                f"{uri}: {failure.detail}.", remedy="Set OCRQUEUE_S3_REGION on the workers to the region of the bucket."
            )
        case "refused" | "exists":
            return SourceHttpError(f"{uri}: {failure.detail}.")
