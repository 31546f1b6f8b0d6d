"""A job as its caller is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

from ocrqueue.core import JobStatus
from ocrqueue.core.queue_places import QueuePlace
from ocrqueue.core.records import State
from ocrqueue.document import Timings
from ocrqueue.errors import ErrorInfo
from ocrqueue.job.references import input_name
from ocrqueue.job.route import Step
from ocrqueue_gateway.access.caller import Caller

_EXAMPLE_ID: Final = "0198c0de-0000-7000-8000-000000000001"


class JobLinks(BaseModel):
    """Where the job, and what was read, is found."""

    self: str
    result: str
    pages: str
    events: str


class JobView(BaseModel):
    """A job at one moment."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                "id": _EXAMPLE_ID,
                "state": "running",
                "engine": "tesseract",
                "image": "https://example.org/scans/receipt.jpg",
                "tag": "invoices",
                "queued_at": "2026-01-05T09:00:00Z",
                "started_at": "2026-01-05T09:00:01Z",
                "attempts": 1,
                "pages_done": 2,
                "pages": 5,
                "links": {
                    "self": f"/v1/jobs/{_EXAMPLE_ID}",
                    "result": f"/v1/jobs/{_EXAMPLE_ID}/result",
                    "pages": f"/v1/jobs/{_EXAMPLE_ID}/pages",
                    "events": f"/v1/jobs/{_EXAMPLE_ID}/events",
                },
            }
        },
    )

    id: str
    state: State
    engine: str = Field(description="Of a job with auto, fallback or compare, the one whose turn it is.")
    trail: tuple[Step, ...] = Field(default=(), description="How the engines of such a job fared, in order.")
    agreement: float | None = Field(default=None, description="With compare, at the end: how far the engines agree.")
    image: str = Field(
        description="The reference, without user, password and query. Of an image that was sent, for others than "
        "operators: `inputs/` and the name that it has been given."
    )
    tenant: str = Field(default="", description="Whose it is: the key's; empty: of jobs that name none.")
    tag: str | None = None
    name: str | None = None
    batch: str | None = None
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    pages_done: int = 0
    pages: int | None = None
    words: int | None = None
    mean_confidence: float | None = None
    cached: bool = Field(default=False, description="Whether the result is an earlier one's, of the same image.")
    device: str | None = None
    cancel_requested: bool = False
    timings: Timings = Timings()
    error: ErrorInfo | None = None
    place: QueuePlace | None = Field(
        default=None,
        description="How many jobs are before it, and for how long; of one that waits and is asked for alone.",
    )
    links: JobLinks

    @classmethod
    def of(cls, status: JobStatus, caller: Caller, place: QueuePlace | None = None) -> Self:
        """As this caller is told of it."""
        own = {name: getattr(status, name) for name in cls.model_fields if name not in ("links", "place")}
        own |= {"error": caller.told(status.error), "trail": trail_for(caller, status.trail)}
        own["image"] = image_for(caller, status.image)
        return cls(**own, place=place, links=links_of(status.id))


class JobList(BaseModel):
    """Some jobs: those at work, then those that have ended; each the newest first."""

    model_config = ConfigDict(frozen=True)

    jobs: tuple[JobView, ...]
    next: str | None = Field(default=None, description="To be given as `cursor` for those that follow; null: none.")


class PagesView(BaseModel):
    """The pages of a job that can be had now."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"read": [1, 2, 4], "pages": 5}})

    read: tuple[int, ...] = Field(description="Numbers of pages: GET /v1/jobs/{id}/pages/{n} has each.")
    pages: int | None = Field(default=None, description="How many there will be, once that is known.")


def image_for(caller: Caller, image: str) -> str:
    """To a tenant without where the storage is. By the reference's form: only storage names images so."""
    name = None if caller.is_operator or not image.startswith(("file://", "s3://")) else input_name(image)
    return image if name is None else f"inputs/{name}"


def trail_for(caller: Caller, trail: Sequence[Step]) -> tuple[Step, ...]:
    """To a tenant without where in storage each engine's own Document is."""
    return tuple(trail if caller.is_operator else (step.model_copy(update={"result": None}) for step in trail))


def links_of(job_id: str) -> JobLinks:
    at = f"/v1/jobs/{job_id}"
    return JobLinks(self=at, result=f"{at}/result", pages=f"{at}/pages", events=f"{at}/events")
