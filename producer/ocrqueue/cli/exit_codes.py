"""Exit statuses of `ocrqueue`: what a script can branch on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class ExitStatus(IntEnum):
    """docs/cli.md and `ocrqueue --help` list them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3
    TIMEOUT = 4
    UNAVAILABLE = 5
    CANCELLED = 6
    PARTIAL = 7
    FULL = 8
    NOT_REPLICATED = 9
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: Final[Mapping[ExitStatus, str]] = MappingProxyType(
    {
        ExitStatus.OK: "Done.",
        ExitStatus.FAILED: "A job failed, or something else went wrong.",
        ExitStatus.USAGE: "The command, a setting or an image reference is wrong.",
        ExitStatus.UNKNOWN: "No job, API key or notice has this id, or no batch, live worker or webhook this name.",
        ExitStatus.TIMEOUT: "The job, or a worker that is to drain, has not ended yet.",
        ExitStatus.UNAVAILABLE: "Redis or the storage does not answer, or refuses access.",
        ExitStatus.CANCELLED: "The job was cancelled.",
        ExitStatus.PARTIAL: "There is a result, but some pages could not be read.",
        ExitStatus.FULL: "The queue is full, or a tenant has reached its limit: some images, or all, are not queued.",
        ExitStatus.NOT_REPLICATED: "The images are queued, but fewer replicas of Redis have them than you asked for.",
        ExitStatus.INTERRUPTED: "Interrupted by Ctrl-C; submitted jobs go on.",
        ExitStatus.BROKEN_PIPE: "The reader of the output has gone away.",
    }
)

_BY_CODE: Final[Mapping[str, ExitStatus]] = MappingProxyType(
    {
        "settings.invalid": ExitStatus.USAGE,
        "calibration.invalid": ExitStatus.USAGE,
        "storage.cleaning_refused": ExitStatus.USAGE,
        "job.malformed": ExitStatus.USAGE,
        "engine.unknown": ExitStatus.USAGE,
        "pause.invalid": ExitStatus.USAGE,
        "batch.invalid": ExitStatus.USAGE,
        "batch.closed": ExitStatus.USAGE,
        "source.invalid": ExitStatus.USAGE,
        "source.not_found": ExitStatus.USAGE,
        "source.path_not_allowed": ExitStatus.USAGE,
        "page.not_found": ExitStatus.USAGE,
        "filter.missing": ExitStatus.USAGE,
        "filter.invalid": ExitStatus.USAGE,
        "cursor.invalid": ExitStatus.USAGE,
        "job.not_failed": ExitStatus.USAGE,
        "webhook.invalid": ExitStatus.USAGE,
        "webhook.off": ExitStatus.USAGE,
        "webhook.unknown": ExitStatus.UNKNOWN,
        "job.unknown": ExitStatus.UNKNOWN,
        "batch.unknown": ExitStatus.UNKNOWN,
        "job.ended": ExitStatus.UNKNOWN,
        "job.deleted": ExitStatus.UNKNOWN,
        "job.deletion_pending": ExitStatus.TIMEOUT,
        "worker.unknown": ExitStatus.UNKNOWN,
        "job.wait_timeout": ExitStatus.TIMEOUT,
        "job.not_finished": ExitStatus.TIMEOUT,
        "job.cancelled": ExitStatus.CANCELLED,
        "broker.unavailable": ExitStatus.UNAVAILABLE,
        "intake.unavailable": ExitStatus.UNAVAILABLE,
        "intake.denied": ExitStatus.UNAVAILABLE,
        "broker.not_replicated": ExitStatus.NOT_REPLICATED,
        "queue.full": ExitStatus.FULL,
        "tenant.limited": ExitStatus.FULL,
        "tenant.limit_invalid": ExitStatus.USAGE,
        "key.invalid_request": ExitStatus.USAGE,
        "key.unknown": ExitStatus.UNKNOWN,
        "storage.unavailable": ExitStatus.UNAVAILABLE,
        "storage.denied": ExitStatus.UNAVAILABLE,
        "storage.credentials": ExitStatus.UNAVAILABLE,
    }
)

_BY_STATE: Final[Mapping[str, ExitStatus]] = MappingProxyType(
    {
        "failed": ExitStatus.FAILED,
        "unknown": ExitStatus.UNKNOWN,
        "queued": ExitStatus.TIMEOUT,
        "running": ExitStatus.TIMEOUT,
        "cancelled": ExitStatus.CANCELLED,
        "partial": ExitStatus.PARTIAL,
    }
)


def exit_of_error(code: str) -> ExitStatus:
    """For an error that the command itself met; a job's own error is ExitStatus.FAILED whatever its code."""
    return _BY_CODE.get(code, ExitStatus.FAILED)


def exit_of_states(states: Iterable[str]) -> ExitStatus:
    """For jobs that were waited for: the lowest status of theirs that is not OK."""
    return min((_BY_STATE[state] for state in states if state in _BY_STATE), default=ExitStatus.OK)
