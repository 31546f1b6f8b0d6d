"""An analysis that is under way or has ended, as whoever polls is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ocrqueue.core import JobStatus
from ocrqueue.core.records import State
from ocrqueue.document import Document
from ocrqueue.errors import JobCancelled
from ocrqueue_gateway.clouds.azure_read.analyze_result import result_pieces
from ocrqueue_gateway.clouds.azure_read.errors import error_of, failure_of
from ocrqueue_gateway.clouds.azure_read.models import Error, Operation, OperationStatus
from ocrqueue_gateway.clouds.azure_read.presentation import Presentation

_STATES: Final[Mapping[State, OperationStatus]] = MappingProxyType(
    {
        "queued": "notStarted",
        "running": "running",
        "succeeded": "succeeded",
        "partial": "succeeded",
        "failed": "failed",
        "cancelled": "canceled",
        "unknown": "running",
    }
)
"""Of a result that is partial, warnings tell which pages are missing."""


def operation_of(status: JobStatus) -> Operation:
    """Without its result."""
    return Operation(
        status=_STATES[status.state],
        created_date_time=status.queued_at,
        last_updated_date_time=status.finished_at or status.started_at or status.queued_at,
        error=_error(status),
    )


def operation_pieces(status: JobStatus, document: Document, shown: Presentation) -> Iterator[bytes]:
    """The JSON of an operation with its result."""
    yield operation_of(status).json_text().removesuffix("}").encode() + b',"analyzeResult":'
    for piece in result_pieces(document, shown):
        yield piece.encode()
    yield b"}"


def _error(status: JobStatus) -> Error | None:
    if status.state == "failed" and status.error is not None:
        return failure_of(status.error)
    return error_of(JobCancelled().info, 409) if status.state == "cancelled" else None
