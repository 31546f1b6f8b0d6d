"""s3:// references, read with the workers' own credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from ocrqueue.errors import (
    OcrQueueError,
    SourceAccessDenied,
    SourceBucketNotAllowed,
    SourceBucketNotFound,
    SourceCredentials,
    SourceHttpError,
    SourceInvalid,
    SourceNotFound,
    SourceTooLarge,
    SourceUnavailable,
)
from ocrqueue.job.references import split_s3_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import Storage
from ocrqueue.storage.s3 import S3Storage
from ocrqueue.storage.s3_client import S3_ERRORS, S3Failure, forget_s3_clients, s3_client, s3_failure
from ocrqueue_worker.sources.content_coding import body, is_packed
from ocrqueue_worker.sources.deadline import Deadline
from ocrqueue_worker.sources.retry_after import retry_after

if TYPE_CHECKING:
    from botocore.response import StreamingBody

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_KEY_BYTES: Final = 1024
_CHUNK: Final = 64 * 1024
_NO_OBJECT: Final = "ocrqueue-probe"


def fetch_s3(uri: str, settings: WorkerSettings, storage: Storage, deadline: Deadline) -> bytes:
    """The object's bytes. Raises as fetch() does."""
    bucket, key = split_s3_uri(uri)
    if not _BUCKET.fullmatch(bucket) or not is_key(key):
        raise SourceInvalid("Not an s3://bucket/key reference: the bucket's name or the key is not valid.")
    own = isinstance(storage, S3Storage) and storage.bucket == bucket
    if settings.source_buckets and bucket not in settings.source_buckets and not own:
        raise SourceBucketNotAllowed(f"The bucket {bucket!r} is not on the list of allowed buckets.")
    # botocore's timeouts bound the silence of each attempt, not the whole.
    try:
        return deadline.bound(lambda: _read(bucket, key, settings, deadline))
    except (SourceNotFound, SourceAccessDenied):
        # Without the right to list, S3 denies what does not exist. Some write keys as URLs have them.
        decoded = _decoded(key)
        if decoded is not None:
            with suppress(SourceNotFound, SourceAccessDenied):
                return deadline.bound(lambda: _read(bucket, decoded, settings, deadline))
        raise


def _decoded(key: str) -> str | None:
    """What a percent-encoded key stands for; None where it is none, or no good."""
    if "%" not in key:
        return None
    decoded = unquote(key)
    return decoded if decoded != key and is_key(decoded) else None


def is_key(key: str) -> bool:
    """Some servers and proxies resolve dot segments, which would lead out of the bucket that is checked here."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return False
    return bool(key) and not {".", ".."} & set(key.split("/")) and size <= _KEY_BYTES and "\0" not in key


def check_s3_credentials(bucket: str, settings: WorkerSettings) -> None:
    """Raises SourceCredentials where the server does not know these credentials.

    They are read again. Asks for an object that is not there: an answer that this may not be told is an answer to
    somebody known.
    """
    forget_s3_clients()
    try:
        s3_client(settings).get_object(Bucket=bucket, Key=_NO_OBJECT)
    except S3_ERRORS as error:
        failure = s3_failure(error)
        if failure.kind == "credentials":
            raise _source_error(failure, bucket, _NO_OBJECT) from None


def _read(bucket: str, key: str, settings: WorkerSettings, deadline: Deadline) -> bytes:
    try:
        answer = s3_client(settings).get_object(Bucket=bucket, Key=key)
        stream, shown = answer["Body"], f"s3://{bucket}/{key[:200]}"
        try:
            _check_size(answer.get("ContentLength", 0), settings)
            packed = is_packed(answer.get("ContentEncoding", ""), shown)
            return body(_chunks(stream, deadline), packed, lambda size: _check_size(size, settings), shown)
        finally:
            stream.close()
    except S3_ERRORS as error:
        raise _source_error(s3_failure(error), bucket, key) from None


def _chunks(stream: StreamingBody, deadline: Deadline) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        deadline.left()
        yield chunk


def _check_size(size: int, settings: WorkerSettings) -> None:
    if size > settings.source_max_bytes:
        raise SourceTooLarge(f"The object is larger than {settings.source_max_bytes} bytes.")


def _source_error(failure: S3Failure, bucket: str, key: str) -> OcrQueueError:
    uri = f"s3://{bucket}/{key[:200]}"
    match failure.kind:
        case "unavailable":
            return SourceUnavailable(f"{uri}: {failure.detail}.", **retry_after(failure.retry_after))
        case "denied" | "credentials":
            cls = SourceCredentials if failure.kind == "credentials" else SourceAccessDenied
            return cls(f"{uri}: {failure.detail}.")
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
