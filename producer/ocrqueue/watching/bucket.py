"""A prefix of a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ocrqueue.errors import (
    ErrorInfo,
    OcrQueueError,
    SourceInvalid,
    StorageCredentials,
    StorageDenied,
    StorageNotFound,
    StorageUnavailable,
)
from ocrqueue.job.references import split_s3_uri
from ocrqueue.settings import ClientSettings
from ocrqueue.storage.s3_client import S3_ERRORS, s3_client, s3_failure
from ocrqueue.submitting.image_input import ImageInput
from ocrqueue.watching.places import Found, reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ERRORS: Final[dict[str, type[OcrQueueError]]] = {
    "unavailable": StorageUnavailable,
    "credentials": StorageCredentials,
    "no_bucket": StorageNotFound,
    "no_key": StorageNotFound,
}


class BucketPlace:
    """Objects below a prefix. They are whole from the moment that they are there."""

    settles = False

    def __init__(self, settings: ClientSettings, uri: str, done: str, failed: str) -> None:
        """All three are s3://bucket/prefix/. Raises SourceInvalid."""
        self._settings = settings
        self._bucket, self._prefix = _split(uri)
        self._done, self._failed = _split(done), _split(failed)
        if (self._bucket, self._prefix) in (self._done, self._failed):
            raise SourceInvalid("What was read cannot be moved to where it is watched.")

    @property
    def shown(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def found(self) -> Iterator[Found]:
        away = (self._done, self._failed)
        left_out = tuple(
            prefix for bucket, prefix in away if bucket == self._bucket and prefix.startswith(self._prefix)
        )
        with _errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            for page in pages:
                for item in page.get("Contents", []):
                    key = item["Key"]
                    if not key.startswith(left_out) and not key.endswith("/"):
                        yield Found(key.removeprefix(self._prefix), _state(item["ETag"], item["LastModified"]))

    @contextmanager
    def opened(self, found: Found) -> Iterator[ImageInput]:
        yield f"s3://{self._bucket}/{self._prefix}{found.name}"

    def move(self, found: Found, job_id: str, failure: ErrorInfo | None) -> bool:
        key = self._prefix + found.name
        bucket, prefix = self._failed if failure else self._done
        with _errors():
            try:
                seen = self._client.head_object(Bucket=self._bucket, Key=key)
                if _state(seen["ETag"], seen["LastModified"]) != found.state:
                    return False
                if failure is not None:
                    text = reason(failure, job_id).encode()
                    self._client.put_object(Bucket=bucket, Key=f"{prefix}{found.name}.error.txt", Body=text)
                source: Any = {"Bucket": self._bucket, "Key": key}
                self._client.copy_object(
                    Bucket=bucket, Key=prefix + found.name, CopySource=source, CopySourceIfMatch=seen["ETag"]
                )
            except S3_ERRORS as error:
                if s3_failure(error).kind in ("no_key", "exists"):
                    return False  # it is gone, or is another
                raise
            self._client.delete_object(Bucket=self._bucket, Key=key)
        return True

    @property
    def _client(self) -> S3Client:
        return s3_client(self._settings)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except S3_ERRORS as error:
        failure = s3_failure(error)
        raise _ERRORS.get(failure.kind, StorageDenied)(f"The bucket answers: {failure.detail}.") from error


def _split(uri: str) -> tuple[str, str]:
    """Bucket and prefix, which ends with a slash or is empty. Raises SourceInvalid."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://"):
        raise SourceInvalid("A prefix to watch, and where to move, are s3://bucket/prefix/.")
    split_s3_uri(f"s3://{bucket}/key")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _state(etag: str, modified: datetime) -> str:
    return f"{etag}-{int(modified.timestamp())}"
