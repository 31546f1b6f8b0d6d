"""Looks at one thing each that every job needs. Each returns what is wrong with it, or None, and leaves nothing."""

from __future__ import annotations

import os
import secrets
import tempfile

from ocrqueue.core import WorkerRegistry
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import OcrQueueError, StorageUnavailable, WorkerDiskFull
from ocrqueue.job.references import split_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import PROBE, Storage
from ocrqueue_worker.limits.resource_errors import exhaustion
from ocrqueue_worker.sources.credentials import check_credentials

_PROBE_BYTES = 4096
_ROOM_BYTES = 16 << 20
"""For the temporary files of a page."""
_ROOM_SHARE = 4
"""Of a small disk no more than this part of it: one of 8 MiB is not full for its size."""


def probe_redis(registry: WorkerRegistry) -> OcrQueueError | None:
    try:
        with broker_errors():
            registry.client.ping()
    except OcrQueueError as error:
        return error
    return None


def probe_storage(storage: Storage) -> OcrQueueError | None:
    """Write, read and delete an object of its own, where workers may: no job's id begins with a dot."""
    key, data = f"results/{PROBE}{secrets.token_hex(8)}", secrets.token_bytes(_PROBE_BYTES)
    try:
        storage.put(key, data, "application/octet-stream")
        read = storage.get(key)
        storage.delete([key])
    except OcrQueueError as error:
        return error
    if read != data:
        return StorageUnavailable(f"{storage.uri(key)} was read back with other bytes than were written.")
    return None


def probe_source(source: str, settings: WorkerSettings) -> OcrQueueError | None:
    """Whether the server of a bucket, `s3://bucket` or `gs://bucket`, knows this worker's credentials.

    That they may not read there is another matter, and of the job that asks for it.
    """
    try:
        check_credentials(source, settings)
    except OcrQueueError as error:
        return error
    return None


def sources_of(settings: WorkerSettings) -> list[str]:
    """The buckets that the settings name as sources, one of a kind."""
    return [f"s3://{settings.source_buckets[0]}"] if settings.source_buckets and "s3" in settings.source_schemes else []


def source_of(image: str) -> str:
    """The bucket of an image's reference; empty where it is in none."""
    try:
        parts = split_uri(image)
    except OcrQueueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("s3", "gs") else ""


def has_room() -> bool:
    """Whether the disk for temporary files says that it has room. Cheap; a quota it does not see."""
    try:
        disk = os.statvfs(tempfile.gettempdir())
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize >= _wanted_bytes(disk)


def probe_temporary_files() -> OcrQueueError | None:
    """Take as much room as the temporary files of a page do, or a fair part of a small disk."""
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, _wanted_bytes(os.fstatvfs(file.fileno())))
    except OSError as error:
        found = exhaustion(error)
        reason = error.strerror or "there is no writable folder for temporary files"
        return found or WorkerDiskFull(f"No temporary file can be written: {reason}.")
    return None


def _wanted_bytes(disk: os.statvfs_result) -> int:
    # a tmpfs without a limit says that it has no size at all
    size = disk.f_blocks * disk.f_frsize
    return min(_ROOM_BYTES, size // _ROOM_SHARE) if size else _ROOM_BYTES
