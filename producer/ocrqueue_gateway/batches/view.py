"""A batch as its caller is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from ocrqueue.core.batches import BatchStatus
from ocrqueue_gateway.batches.lines import Line
from ocrqueue_gateway.batches.submitting import Submitted


class BatchView(BaseModel):
    """A batch at one moment."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                "id": "0198c0de-0000-7000-8000-000000000002",
                "jobs": 3,
                "ended": 2,
                "counts": {"queued": 0, "running": 1, "succeeded": 2, "partial": 0, "failed": 0, "cancelled": 0},
                "created_at": "2026-01-05T09:00:00Z",
                "ended_at": None,
                "links": {
                    "self": "/v1/batches/0198c0de-0000-7000-8000-000000000002",
                    "results": "/v1/batches/0198c0de-0000-7000-8000-000000000002/results",
                },
            }
        },
    )

    id: str
    jobs: int = Field(description="All that were ever in it.")
    ended: int
    counts: Mapping[str, int] = Field(description="Jobs by state; the sum is `jobs`.")
    created_at: datetime | None = None
    closed_at: datetime | None = Field(default=None, description="Since when nothing more comes into it.")
    ended_at: datetime | None = Field(default=None, description="When its last job ended.")
    links: Mapping[str, str]

    @classmethod
    def of(cls, status: BatchStatus) -> Self:
        at = f"/v1/batches/{status.name}"
        return cls(
            id=status.name,
            jobs=status.jobs,
            ended=status.ended,
            counts=status.counts,
            created_at=status.created_at,
            closed_at=status.closed_at,
            ended_at=status.ended_at,
            links={"self": at, "results": f"{at}/results"},
        )


class LineError(BaseModel):
    """A line of which no job was made."""

    model_config = ConfigDict(frozen=True)

    line: int = Field(description="Counted from 1.")
    custom_id: str | None
    code: str
    detail: str
    remedy: str
    retryable: bool = Field(description="Whether the same line may be taken later, in another batch.")

    @classmethod
    def of(cls, line: Line) -> Self:
        info = line.error
        assert info is not None  # noqa: S101  # it is a line that has failed
        return cls(
            line=line.number,
            custom_id=line.custom_id,
            code=info.code,
            detail=info.message,
            remedy=info.remedy,
            retryable=info.retryable,
        )


class LinesTold(BaseModel):
    """What has become of the lines."""

    model_config = ConfigDict(frozen=True)

    accepted: int = Field(description="Lines that are jobs now.")
    rejected: int
    errors: Sequence[LineError] = Field(description="Of lines that were rejected, the first 1,000.")


class BatchSubmitted(LinesTold):
    """The same, and the batch."""

    batch: BatchView

    @classmethod
    def of(cls, submitted: Submitted, status: BatchStatus) -> Self:
        errors = [LineError.of(line) for line in submitted.errors]
        view = BatchView.of(status)
        return cls(accepted=submitted.accepted, rejected=submitted.rejected, errors=errors, batch=view)


class BatchCancelled(BaseModel):
    """What a cancellation has come to."""

    model_config = ConfigDict(frozen=True)

    cancelled: int = Field(description="Jobs that will not be read, or stop at their next step.")
    batch: BatchView


class BatchResult(BaseModel):
    """A line of a batch's results."""

    model_config = ConfigDict(frozen=True)

    custom_id: str | None
    id: str
    state: str
    error: Mapping[str, object] | None = None
    text: str | None = None
    document: Mapping[str, object] | None = None
