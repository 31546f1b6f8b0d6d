"""The public form of any exception."""

from __future__ import annotations

from ocrqueue.errors.base import ErrorInfo, InternalError, OcrQueueError
from ocrqueue.errors.engines import EngineOutOfMemory


def error_info(exception: BaseException) -> ErrorInfo:
    """The public form of any exception. Of a foreign exception it shows only the type, never the text."""
    if isinstance(exception, OcrQueueError):
        return exception.info
    if isinstance(exception, MemoryError):
        return EngineOutOfMemory().info
    return InternalError(f"Unexpected {type(exception).__name__}.").info
