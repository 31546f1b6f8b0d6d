"""The storage interface."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, Final

from ocrqueue.errors import StorageDenied, StorageNotFound, StorageUnavailable
from ocrqueue.job.references import INPUT_NAME

PROBE: Final = ".probe-"
"""What a worker's looks at storage are called, in the folder `results`; no job's id begins with a dot."""
RESULT: Final = "result.json"
"""Where an object of this name is, all that it names is there: it is put last and deleted first."""

_INPUT_KEY: Final = re.compile(rf"inputs/{INPUT_NAME}")
_PIECE_BYTES: Final = 4 * 1024 * 1024
_CREATIONS: Final = 5
_CREATION_PAUSE_S: Final = 0.1
"""The first pause between tries to create what neither could be created nor was there; doubles."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What is known of an object without its content."""

    key: str
    modified_at: float
    """Seconds since 1970, by the storage's clock."""
    size_bytes: int


class Storage(ABC):
    """Bytes by key, under one root URI.

    A key is a relative path of one or more segments joined by `/`: no empty, `.` or `..` segment, no NUL. All methods
    may be called from several threads and in a process forked after the object was made. They raise StorageUnavailable
    (worth a retry), StorageDenied, and StorageNotFound.
    """

    @abstractmethod
    def put(self, key: str, data: bytes, content_type: str) -> str:
        """Store `data`, replacing what is there, all of it or nothing. Returns its URI."""

    def put_file(self, key: str, file: BinaryIO, content_type: str) -> str:
        """Store what is in `file` from its beginning on, as put() does, without having all of it in memory."""
        file.seek(0)
        return self._put_file(key, file, content_type)

    @abstractmethod
    def _put_file(self, key: str, file: BinaryIO, content_type: str) -> str: ...

    def put_once(self, key: str, data: bytes, content_type: str) -> bytes:
        """Store `data` unless there is an object already. Returns what is stored: `data`, or what came before it.

        Of several writers at once, in any process, one's data is stored and all get that. Not promised by an S3 server
        without conditional writes or a file system without hard links: there the last writer may replace the first's.
        """
        for number in range(_CREATIONS):
            if self._create(key, data, content_type):
                return data
            try:
                return self.get(key)
            except StorageNotFound:  # deleted since, or another writer is at it
                time.sleep(_CREATION_PAUSE_S * 2**number)
        raise StorageUnavailable(f"{self.uri(key)} could neither be created nor read.")

    @abstractmethod
    def _create(self, key: str, data: bytes, content_type: str) -> bool:
        """Store `data` unless there is an object already, or may be; whether it was stored for certain."""

    @abstractmethod
    def copy(self, source: str, key: str) -> str:
        """Store what is under the key `source` under `key` too, all of it or nothing. Returns the new URI.

        The storage does it by itself: the bytes do not pass through here. Either may be deleted without the other.
        """

    @abstractmethod
    def exists(self, key: str) -> bool: ...

    @abstractmethod
    def modified_at(self, key: str) -> float | None:
        """When the object was stored last, in seconds since 1970 by the storage's clock; None where there is none."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[str]:
        """The keys below the folder `prefix` ("" for all), in no promised order."""

    @abstractmethod
    def stored(self, prefix: str) -> Iterator[StoredObject]:
        """All below the folder `prefix`, what is in one folder below it together, as it is found."""

    def remove_folders(self, prefixes: Iterable[str]) -> None:  # noqa: B027  # S3 has no folders
        """After all objects in them are deleted: the folders, and what writers that were killed have left in them."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; those that are not there count as deleted."""

    @abstractmethod
    def delete_prefix(self, prefix: str) -> int:
        """Delete all below the folder `prefix`, which must not be "": its result.json first, lest it outlive the rest.

        Returns how many objects that were.
        """

    @abstractmethod
    def uri(self, key: str) -> str: ...

    @abstractmethod
    def check(self) -> None:
        """Raise an error that names the remedy, unless the storage is there and may be used."""

    @abstractmethod
    def ensure(self) -> None:
        """Create the bucket or folder where it is missing."""

    @abstractmethod
    def _read(self, key: str, offset: int, length: int | None) -> bytes:
        """The bytes from `offset`, `length` of them or to the end; fewer where the object ends before."""

    @abstractmethod
    def _key(self, uri: str) -> str | None:
        """The key of a URI below this storage's root, None for any other URI."""

    def get(self, key: str) -> bytes:
        return self._read(check_key(key), 0, None)

    def prepare(self) -> None:  # noqa: B027  # most have nothing to prepare
        """Import and make what the first request needs. Asks nothing; what is wrong shows at the first request."""

    def reconnect(self) -> None:  # noqa: B027  # most keep nothing
        """Read credentials again with the next request, of this process."""

    def owns(self, uri: str) -> bool:
        """Whether `uri` names an object below this storage's root (it need not exist)."""
        return self._key(uri) is not None

    @abstractmethod
    def keys_behind(self, uri: str) -> tuple[str, ...]:
        """The keys of what may be read of this storage by fetching `uri`, in whatever way it is written; empty: none.

        Unlike owns() it is not about how this storage writes its URIs: `..`, symlinks, percent-encoding, other names
        of the bucket and the like are followed. "" is the root itself. It may ask the file system, and so block.
        """

    def copy_uri(self, uri: str, key: str) -> str:
        """Store what is behind a URI of this storage under `key` too. Returns the new URI.

        Raises StorageDenied for a URI outside this storage.
        """
        return self.copy(self._own_key(uri), key)

    def _own_key(self, uri: str) -> str:
        key = self._key(uri)
        if key is None:
            raise StorageDenied(
                "The URI is not in the storage of these settings.",
                remedy="Read it with the OCRQUEUE_STORAGE with which it was written.",
            )
        return key

    def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
        """The bytes behind a URI of this storage: `length` of them from `offset` on (a ranged GET), or all.

        Raises StorageDenied for a URI outside this storage, StorageNotFound where the object ends before the range.
        """
        key = self._own_key(uri)
        offset = offset or 0
        if offset < 0 or (length is not None and length < 0):
            raise StorageNotFound(f"There is no byte range of offset {offset} and length {length}.")
        if length == 0:
            return b""
        data = self._read(key, offset, length)
        if (offset and not data) or (length is not None and len(data) != length):
            raise StorageNotFound(f"{self.uri(key)} ends before byte {offset + (length or 1)}.")
        return data

    def pieces(self, uri: str) -> Iterator[bytes]:
        """What is behind a URI of this storage, some megabytes at a time. Raises as read_uri()."""
        key, offset = self._own_key(uri), 0
        while True:
            try:
                data = self._read(key, offset, _PIECE_BYTES)
            except StorageNotFound:
                if offset:  # a server has no range that begins at the end
                    return
                # nor any of an object that is empty
                data = self._read(key, 0, None)
            if data:
                yield data
            if len(data) < _PIECE_BYTES:
                return
            offset += len(data)

    def presigned_get(self, uri: str, seconds: int, content_type: str | None = None) -> str | None:
        """A URL by which anyone may read what is behind the URI for so long; None where the storage has none.

        `content_type`: as which it is to be answered. Raises StorageDenied for a URI outside this storage.
        """
        self._own_key(uri)
        return None

    def presigned_put(self, key: str, seconds: int, size_bytes: int) -> str | None:
        """A URL to which anyone may PUT the object, of this very size, for so long; None where the storage has none."""
        check_key(key)
        return None

    def put_many(self, items: Iterable[tuple[str, bytes, str]], threads: int) -> tuple[str, ...]:
        """Store (key, data, content type) items over `threads` connections; returns their URIs in order.

        Items are taken from the iterable as uploads finish, so that a generator's are never all in memory. After a
        failure no further upload begins, those under way are waited for, and the failure is raised.
        """
        uris: deque[str] = deque()
        under_way: deque[Future[str]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="ocrqueue-put") as pool:
            try:
                for item in items:
                    if len(under_way) == 2 * threads:
                        uris.append(under_way.popleft().result())
                    under_way.append(pool.submit(self.put, *item))
                while under_way:
                    uris.append(under_way.popleft().result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return tuple(uris)


def check_key(key: str) -> str:
    """`key`, if it is well-formed. Raises StorageDenied."""
    if "\0" in key or any(segment in {"", ".", ".."} for segment in key.split("/")):
        raise StorageDenied(
            f"Not a storage key: {key[:80]!r}.", remedy="Keys are relative paths without empty, `.` or `..` segments."
        )
    return key


def is_input(key: str) -> bool:
    """Whether it is the key of an uploaded image."""
    return _INPUT_KEY.fullmatch(key) is not None


def is_of_a_job(key: str) -> bool:
    """Whether the key is of what jobs have stored."""
    return key == "results" or key.startswith("results/")


def folder_prefix(prefix: str) -> str:
    """`prefix` ending in exactly one `/`, so that `results/a` does not take in `results/ab`. Raises StorageDenied."""
    return check_key(prefix.rstrip("/")) + "/"
