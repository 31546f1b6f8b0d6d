"""file:// references, below the folders that workers may read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final

from ocrqueue.errors import (
    OcrQueueError,
    SourceAccessDenied,
    SourceInvalid,
    SourceNotFound,
    SourcePathNotAllowed,
    SourceTooLarge,
    SourceUnavailable,
)
from ocrqueue.job.references import redact_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import FileStorage, Storage, file_uri_path
from ocrqueue_worker.sources.deadline import Deadline
from ocrqueue_worker.sources.stored_by_jobs import check_key

_ERRORS: Final[dict[int, type[OcrQueueError]]] = {
    errno.ENOENT: SourceNotFound,
    errno.ENOTDIR: SourceNotFound,
    errno.EACCES: SourceAccessDenied,
    errno.EPERM: SourceAccessDenied,
    errno.ELOOP: SourceInvalid,
    errno.ENAMETOOLONG: SourceInvalid,
    errno.ENXIO: SourceInvalid,  # a socket, or a FIFO of which nobody holds the other end
    errno.ENODEV: SourceInvalid,
}

_LEAST_AT_ONCE: Final = 64 * 1024


def fetch_file(uri: str, settings: WorkerSettings, storage: Storage, deadline: Deadline) -> bytes:
    """The file's bytes. Raises as fetch() does."""
    path = file_uri_path(uri)
    own = storage if isinstance(storage, FileStorage) else None
    try:
        # A file server that hangs would hang the reader with it.
        return deadline.bound(lambda: _read(path, settings.source_file_roots, own, settings.source_max_bytes))
    except OSError as error:
        cls = _ERRORS.get(error.errno or 0, SourceUnavailable)
        raise cls(f"{redact_uri(uri)}: {error.strerror}.") from None


def _read(path: str, folders: Sequence[str], own: FileStorage | None, max_bytes: int) -> bytes:
    roots = [os.path.realpath(folder) for folder in folders]
    # Checked before opening, because opening can block, act on a device, or tell that a file exists; and again on
    # what was opened, because a symlink may have been changed in between.
    _check_allowed(os.path.realpath(path), roots, own)
    # O_NONBLOCK: opening a FIFO would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_allowed(os.readlink(f"/proc/self/fd/{descriptor}"), roots, own)  # noqa: PTH115
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SourceInvalid("The reference names a folder, device or pipe, not a regular file.")
        # What is read counts too: the file may grow, and some file systems report no size.
        if status.st_size > max_bytes or len(data := _read_all(descriptor, status.st_size, max_bytes)) > max_bytes:
            raise SourceTooLarge(f"The file is larger than {max_bytes} bytes.")
        return data
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int, max_bytes: int) -> bytes:
    """The file to its end, which should come after `size` bytes; of a larger one than allowed, a byte too many."""
    pieces: list[bytes] = []
    left, at_once = max_bytes + 1, max(size + 1, _LEAST_AT_ONCE)
    while left > 0 and (piece := os.read(descriptor, min(left, at_once))):
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check_allowed(real_path: str, roots: Sequence[str], own: FileStorage | None) -> None:
    """What is in the storage always is, but for what jobs have stored: that never is, though it be below a root."""
    key = own.key_of_path(real_path) if own is not None else None
    if key is not None:
        check_key(key)
        return
    if not any(real_path.startswith(root.rstrip("/") + "/") for root in roots):
        raise SourcePathNotAllowed()
