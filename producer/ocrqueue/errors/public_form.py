"""The public form of any exception, and of that what those are told who do not run the installation."""

from __future__ import annotations

from typing import Final

from ocrqueue.errors.base import ErrorInfo, InternalError, OcrQueueError, error_classes
from ocrqueue.errors.engines import EngineOutOfMemory

_OF_THE_INSTALLATION: Final = (
    "broker.",
    "calibration.",
    "engine.device_missing",
    "engine.model_invalid",
    "engine.unavailable",
    "engine.weights_",
    "intake.",
    "settings.",
    "storage.",
    "worker.access_broken",
    "worker.disk_full",
)
"""Codes, or how they begin, whose messages name buckets, endpoints, folders and files of the installation's own."""
_FOR_CLIENTS: Final = frozenset({"broker.not_replicated", "storage.not_found"})
"""Codes of these whose remedy is for those that submit."""
_LATER: Final = "Ask again later. If it goes on, tell those who run this installation, with the code."
_TELL: Final = "Tell those who run this installation, with the code and the job's id."


def error_info(exception: BaseException) -> ErrorInfo:
    """The public form of any exception. Of a foreign exception it shows only the type, never the text."""
    if isinstance(exception, OcrQueueError):
        return exception.info
    if isinstance(exception, MemoryError):
        return EngineOutOfMemory().info
    return InternalError(f"Unexpected {type(exception).__name__}.").info


def error_for_clients(info: ErrorInfo) -> ErrorInfo:
    """The error as somebody is told of it who does not run the installation: without its buckets, hosts and folders.

    Code and `retryable` stay; what has gone wrong this time is in the log, and in the job's record for operators.
    """
    if not info.code.startswith(_OF_THE_INSTALLATION):
        return info
    known = error_classes().get(info.code)
    general = known().info if known is not None else ErrorInfo(code=info.code, message=info.code)
    remedy = general.remedy if info.code in _FOR_CLIENTS else _LATER if info.retryable else _TELL
    waits = {name: value for name, value in info.details.items() if name == "retry_after_s"}
    return general.model_copy(update={"remedy": remedy, "retryable": info.retryable, "details": waits})
