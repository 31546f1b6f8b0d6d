"""Memory or disk that ran out on this machine, as errors of the job, whichever library noticed it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded

from ocrqueue.errors import EngineOutOfMemory, OcrQueueError, WorkerDiskFull

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""errno(3): no space is left, the quota is used up, RLIMIT_FSIZE is reached."""

_NO_THREAD: Final = "can't start new thread"
"""CPython's RuntimeError where pthread_create(3) fails with EAGAIN: no memory for a stack, or too many threads."""
_NO_FOLDER: Final = "No usable temporary directory"
"""tempfile's FileNotFoundError where no folder can be written to."""


def exhaustion(error: BaseException) -> EngineOutOfMemory | WorkerDiskFull | None:
    """The error of the job where `error`, or what led to it, means that memory or disk ran out; else None."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if (found := _of_one(link)) is not None:
            return found
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return None


def _of_one(error: BaseException) -> EngineOutOfMemory | WorkerDiskFull | None:
    match error:
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return EngineOutOfMemory()
        case RuntimeError() if _NO_THREAD in str(error):
            return EngineOutOfMemory("No further thread can be started: memory, or the number of threads, is used up.")
        case OSError(errno=number) if number in DISK_FULL:
            return WorkerDiskFull(f"Nothing can be written to the worker's disk: {error.strerror}.")
        case FileNotFoundError() if _NO_FOLDER in str(error):
            return WorkerDiskFull("The worker has no writable folder for temporary files.")
    return None


@contextmanager
def exhaustion_as_errors() -> Iterator[None]:
    """Raise EngineOutOfMemory or WorkerDiskFull in place of what means the same; all else passes."""
    try:
        yield
    except (OcrQueueError, SoftTimeLimitExceeded):
        raise
    except Exception as error:
        found = exhaustion(error)
        if found is None:
            raise
        raise found from error
