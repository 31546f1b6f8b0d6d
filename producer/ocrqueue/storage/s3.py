"""Storage in a bucket of an S3-compatible server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import unquote

from botocore.exceptions import ClientError

from ocrqueue.errors import (
    OcrQueueError,
    SettingsInvalid,
    StorageCredentials,
    StorageDenied,
    StorageNotFound,
    StorageUnavailable,
)
from ocrqueue.storage.base import RESULT, Storage, StoredObject, check_key, folder_prefix
from ocrqueue.storage.s3_client import S3_ERRORS, S3Failure, forget_s3_clients, is_off_aws, s3_client, s3_failure

if TYPE_CHECKING:
    import boto3.session
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef

    from ocrqueue.settings import ClientSettings

_MOST_AT_ONCE: Final = 1000
"""Keys in one DeleteObjects request."""
_NOT_CHOSEN: Final = (
    "OCRQUEUE_STORAGE is not set, and this is its default. Set it, for apps and workers alike, to file:///folder (on "
    "several machines a folder that all share), or to s3://BUCKET/PREFIX with AWS_* variables that may use it. "
    "`ocrqueue local` prints what its own system has."
)


class S3Storage(Storage):
    """Objects below `prefix` (empty, or ending in `/`) of `bucket`."""

    def __init__(self, settings: ClientSettings, session: boto3.session.Session | None = None) -> None:
        """`session`: of an app that has credentials of its own."""
        self._settings = settings
        self._session = session
        bucket, _, folder = settings.storage.removeprefix("s3://").partition("/")
        self.bucket = bucket
        self.prefix = f"{folder}/" if folder else ""
        self._root = f"s3://{bucket}/{self.prefix}"
        self._deletes_together = True
        """Until the server has refused it."""

    def prepare(self) -> None:
        with suppress(SettingsInvalid):
            s3_client(self._settings, self._session)

    def reconnect(self) -> None:
        forget_s3_clients()

    def put(self, key: str, data: bytes, content_type: str) -> str:
        with self._errors(key):
            self._client.put_object(
                Bucket=self.bucket, Key=self.prefix + check_key(key), Body=data, ContentType=content_type
            )
        return self._root + key

    def _put_file(self, key: str, file: BinaryIO, content_type: str) -> str:
        with self._errors(key):
            self._client.put_object(
                Bucket=self.bucket, Key=self.prefix + check_key(key), Body=file, ContentType=content_type
            )
        return self._root + key

    def _create(self, key: str, data: bytes, content_type: str) -> bool:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        try:
            self._client.put_object(
                Bucket=self.bucket,
                Key=self.prefix + check_key(key),
                Body=data,
                ContentType=content_type,
                IfNoneMatch="*",
            )
        except S3_ERRORS as error:
            failure = s3_failure(error)
            if failure.kind in {"exists", "no_key"}:  # the latter: deleted in the same moment
                return False
            if failure.kind != "refused":
                raise self._storage_error(failure, key) from None
            # perhaps a server that knows no conditional writes; if it is something else, that shows again
            if self.exists(key):
                return False
            self.put(key, data, content_type)
        return True

    def copy(self, source: str, key: str) -> str:
        with self._errors(source):
            self._client.copy_object(
                Bucket=self.bucket,
                Key=self.prefix + check_key(key),
                CopySource={"Bucket": self.bucket, "Key": self.prefix + check_key(source)},
            )
        return self._root + key

    def exists(self, key: str) -> bool:
        return self._head(key) is not None

    def modified_at(self, key: str) -> float | None:
        found = self._head(key)
        return None if found is None else found["LastModified"].timestamp()

    def _head(self, key: str) -> HeadObjectOutputTypeDef | None:
        try:
            with self._errors(key):
                return self._client.head_object(Bucket=self.bucket, Key=self.prefix + check_key(key))
        except StorageNotFound:
            return None

    def list(self, prefix: str) -> Iterator[str]:
        for page in self._pages(folder_prefix(prefix) if prefix else ""):
            yield from map(self._key_of, page)

    def stored(self, prefix: str) -> Iterator[StoredObject]:
        # S3 lists in the order of the keys
        for page in self._pages(folder_prefix(prefix) if prefix else ""):
            for item in page:
                yield StoredObject(self._key_of(item), item["LastModified"].timestamp(), item["Size"])

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        while page := tuple(islice(remaining, _MOST_AT_ONCE)):
            if self._deletes_together:
                try:
                    self._delete_together(page)
                except S3_ERRORS as error:
                    failure = s3_failure(error)
                    if failure.kind != "refused":
                        raise self._storage_error(failure, page[0]) from None
                    # perhaps a server that does not know the request or wants another checksum with it
                    self._delete_singly(page)
                    self._deletes_together = False
            else:
                self._delete_singly(page)

    def _delete_together(self, page: Sequence[str]) -> None:
        answer = self._client.delete_objects(
            Bucket=self.bucket,
            Delete={"Objects": [{"Key": self.prefix + check_key(key)} for key in page], "Quiet": True},
        )
        if refused := answer.get("Errors"):
            raise ClientError({"Error": {"Code": refused[0].get("Code", "")}}, "DeleteObjects")

    def _delete_singly(self, page: Sequence[str]) -> None:
        for key in page:
            with self._errors(key):
                self._client.delete_object(Bucket=self.bucket, Key=self.prefix + check_key(key))

    def delete_prefix(self, prefix: str) -> int:
        deleted = 0
        result = folder_prefix(prefix) + RESULT
        if self.exists(result):
            with self._errors(result):
                self._client.delete_object(Bucket=self.bucket, Key=self.prefix + result)
            deleted += 1
        for page in self._pages(folder_prefix(prefix)):
            self.delete(map(self._key_of, page))
            deleted += len(page)
        return deleted

    def uri(self, key: str) -> str:
        return self._root + check_key(key)

    def check(self) -> None:
        with self._errors(None):
            self._client.head_bucket(Bucket=self.bucket)

    def ensure(self) -> None:
        try:
            self.check()
        except StorageNotFound:
            with self._errors(None):
                self._create_bucket()

    def _create_bucket(self) -> None:
        meta = self._client.meta
        # AWS wants the region said, except for us-east-1; other servers may refuse regions that they do not know.
        if meta.region_name == "us-east-1" or is_off_aws(meta.endpoint_url):
            self._client.create_bucket(Bucket=self.bucket)
        else:
            region = cast("BucketLocationConstraintType", meta.region_name)
            self._client.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": region})

    def _read(self, key: str, offset: int, length: int | None) -> bytes:
        wanted = self.prefix + check_key(key)
        with self._errors(key):
            if offset == 0 and length is None:  # a range would be refused for an empty object
                return self._client.get_object(Bucket=self.bucket, Key=wanted)["Body"].read()
            span = f"bytes={offset}-{'' if length is None else offset + length - 1}"
            return self._client.get_object(Bucket=self.bucket, Key=wanted, Range=span)["Body"].read()

    def presigned_get(self, uri: str, seconds: int, content_type: str | None = None) -> str | None:
        key = self._own_key(uri)
        parameters = {"Bucket": self.bucket, "Key": self.prefix + key}
        if content_type is not None:
            parameters["ResponseContentType"] = content_type
        with self._errors(key):
            return self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)

    def presigned_put(self, key: str, seconds: int, size_bytes: int) -> str | None:
        parameters = {"Bucket": self.bucket, "Key": self.prefix + check_key(key), "ContentLength": size_bytes}
        with self._errors(key):
            return self._client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=seconds)

    def _key(self, uri: str) -> str | None:
        if not uri.startswith(self._root):
            return None
        try:
            return check_key(uri.removeprefix(self._root))
        except StorageDenied:
            return None

    def keys_behind(self, uri: str) -> tuple[str, ...]:
        # gs:// because Google's buckets can be asked in both ways
        scheme, separator, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if not separator or scheme.lower() not in {"s3", "gs"} or bucket.lower() != self.bucket.lower():
            return ()
        # workers read what a percent-encoded key stands for, too, where there is no such key
        below = [_plain_key(each) for each in (key, unquote(key), unquote(unquote(key)))]
        root = self.prefix.rstrip("/")
        found = [each.removeprefix(self.prefix) for each in below if f"{each}/".startswith(self.prefix)]
        return tuple(dict.fromkeys("" if each == root else each for each in found))

    def _key_of(self, item: ObjectTypeDef) -> str:
        return item["Key"].removeprefix(self.prefix)

    def _pages(self, prefix: str) -> Iterator[Sequence[ObjectTypeDef]]:
        """What is below the prefix, up to 1000 at a time."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        with self._errors(prefix):
            for page in pages:
                if found := page.get("Contents"):
                    yield found

    @property
    def _client(self) -> S3Client:
        return s3_client(self._settings, self._session)

    @contextmanager
    def _errors(self, key: str | None) -> Iterator[None]:
        """Turn S3 errors into storage errors; `key` None where the bucket itself is asked about."""
        try:
            yield
        except S3_ERRORS as error:
            raise self._storage_error(s3_failure(error), key) from None

    @property
    def _remedy(self) -> str | None:
        """Where nobody has chosen this bucket: what to do first; else the error's own."""
        return None if "storage" in self._settings.model_fields_set else _NOT_CHOSEN

    def _storage_error(self, failure: S3Failure, key: str | None) -> OcrQueueError:
        what = f"Bucket {self.bucket!r}" if key is None else f"{self._root}{key[:200]}"
        match failure.kind:
            case "unavailable" | "credentials":
                cls = StorageCredentials if failure.kind == "credentials" else StorageUnavailable
                return cls(f"{what}: {failure.detail}.", remedy=self._remedy)
            case "no_key" if key is not None:
                return StorageNotFound(f"{what} does not exist.")
            case "no_key" | "no_bucket":
                return StorageNotFound(
                    f"The storage bucket {self.bucket!r} does not exist.",
                    remedy=self._remedy or "Create it, or correct OCRQUEUE_STORAGE or OCRQUEUE_S3_ENDPOINT.",
                )
            case "wrong_region":
                return StorageDenied(
                    f"{what}: {failure.detail}.", remedy="Set OCRQUEUE_S3_REGION to the region of the bucket."
                )
            case "denied":
                return StorageDenied(f"{what}: {failure.detail}.")
        return StorageDenied(  # "refused" or "exists"
            f"The server refuses the request for {what}: {failure.detail}.",
            remedy="Check OCRQUEUE_STORAGE and that the server in OCRQUEUE_S3_ENDPOINT speaks S3.",
        )


def _plain_key(key: str) -> str:
    """Without what some servers and proxies drop from paths: empty and dot segments."""
    segments: list[str] = []
    for segment in key.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in {"", "."}:
            segments.append(segment)
    return "/".join(segments)
