"""General errors. All have one root, and one public form as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue


class ErrorInfo(BaseModel):
    """An error as data."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    code: str
    message: str
    remedy: str = ""
    retryable: bool = False
    details: dict[str, JsonValue] = {}


_LONGEST_TEXT: Final = 2000
"""Of a message and of a remedy. An engine, or a service behind it, can say anything; a job's record keeps each of its
failures, and Redis all records."""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


_COPIED: Final = frozenset({"job_ids", "may_pass"})
"""Attributes of some errors that go along into another process. Handles of jobs stay: they have a connection."""


class OcrQueueError(Exception):
    """Root of all errors of ocrqueue."""

    code: ClassVar[str] = "internal.error"
    retryable: ClassVar[bool] = False
    remedy: ClassVar[str] = "Report it with the job id and the worker's log lines of that job."
    submitted: Sequence[QueuedJob] = ()
    """For submit_many: the handles of the queued jobs, SubmittedJob or AsyncSubmittedJob; always the first jobs."""
    # of Job and what else can be submitted; typed loosely, since Job is built on these errors
    unsubmitted: Sequence[Any] = ()
    """For submit_many: the images after those that were taken and may not be queued, in order.

    These are Jobs, to be submitted as they are, or the image as given if it never became a job."""

    def __init__(self, message: str | None = None, *, remedy: str | None = None, **details: JsonValue) -> None:
        """`details` must hold nothing secret: they are shown to whoever may read the job."""
        self.message = _cut(message) if message else (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.info = ErrorInfo(
            code=self.code,
            message=self.message,
            remedy=_cut(remedy) if remedy else type(self).remedy,
            retryable=self.retryable,
            details=details,
        )
        super().__init__(f"{self.code}: {self.message} {self.info.remedy}".strip())

    def __reduce__(self) -> tuple[object, ...]:
        kept = {name: value for name, value in self.__dict__.items() if name in _COPIED}
        return (error_from_info, (self.info,), kept or None)


class InternalError(OcrQueueError):
    """Something went wrong inside ocrqueue."""


class SettingsInvalid(OcrQueueError):
    """A setting has a value that cannot work."""

    code = "settings.invalid"
    remedy = "Correct the OCRQUEUE_* variable that the message names; docs/settings.md lists them all."


class QueuedJob(Protocol):
    """Whatever represents a job by its id."""

    @property
    def id(self) -> str: ...


def error_classes() -> dict[str, type[OcrQueueError]]:
    """All error classes by code, in the order of their codes."""
    found: dict[str, type[OcrQueueError]] = {}
    todo: list[type[OcrQueueError]] = [OcrQueueError]
    while todo:
        for cls in todo.pop().__subclasses__():
            if cls.__module__.startswith(f"{__package__}."):
                found[cls.code] = cls
            todo.append(cls)
    return dict(sorted(found.items()))


def error_from_info(info: ErrorInfo) -> OcrQueueError:
    """The exception that `info` describes; for an unknown code, an OcrQueueError that keeps it."""
    cls = error_classes().get(info.code, OcrQueueError)
    # details are not handed on by name: one may be called as an argument is
    error = cls(info.message)
    error.info = info
    # of a newer version's error, too, programs ask these
    error.__dict__.update(code=info.code, retryable=info.retryable)
    error.args = (f"{info.code}: {info.message} {info.remedy}".strip(),)
    return error
