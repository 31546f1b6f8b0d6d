"""What a record says: JobStatus while and after a job runs, Outcome at its end, WorkerInfo of who is there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ocrqueue.document import Confidence, Document, Timings
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import Job
from ocrqueue.job.references import redact_uri
from ocrqueue.job.route import Route, Share, Step

State = Literal["queued", "running", "succeeded", "partial", "failed", "cancelled"]
FINAL_STATES: Final[frozenset[State]] = frozenset({"succeeded", "partial", "failed", "cancelled"})


class Outcome(BaseModel):
    """How a job ended; also the summary that `AsyncResult(id).get()` returns for jobs submitted by name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: str
    state: Literal["succeeded", "partial", "failed", "cancelled"]
    result: str | None = None
    pages: int = 0
    words: int = 0
    mean_confidence: Confidence | None = None
    cached: bool = False
    device: str | None = None
    trail: tuple[Step, ...] = ()
    agreement: Share | None = None
    timings: Timings = Timings()
    error: ErrorInfo | None = None

    @classmethod
    def of(cls, document: Document, result: str, timings: Timings | None = None) -> Self:
        """The outcome of a job whose Document is stored at `result`."""
        confidence = document.mean_confidence
        return cls(
            job_id=document.job_id,
            state=document.status,
            result=result,
            pages=len(document.pages),
            words=sum(1 for _ in document.words()),
            mean_confidence=None if confidence is None else round(confidence, 4),
            cached=document.cached,
            device=document.engine.device,
            trail=document.trail,
            agreement=document.mean_agreement,
            timings=timings or document.timings,
            error=document.errors[0] if document.errors else None,
        )

    def to_message(self) -> dict[str, object]:
        """Plain JSON values, every field present."""
        return self.model_dump(mode="json")


class JobStatus(BaseModel):
    """A job as its record tells it at one moment."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: State
    engine: str
    """Of a job with a route, the one whose turn it is."""
    route: Route | None = None
    """The engines of a job with auto, fallback or compare, and why these."""
    trail: tuple[Step, ...] = ()
    """How those of them fared that have had their turn, in order."""
    agreement: float | None = None
    """With compare, at the end: how far the engines agree, as the mean over the words."""
    image: str
    queue: str
    tag: str | None = None
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    attempts: int = 0
    pages_done: int = 0
    pages: int | None = None
    words: int | None = None
    mean_confidence: float | None = None
    cached: bool = False
    device: str | None = None
    """What the engine ran on; None until the job has ended, and where the engine has no choice."""
    cancel_requested: bool = False
    result: str | None = None
    timings: Timings = Timings()
    error: ErrorInfo | None = None
    history: tuple[Outcome, ...] = ()
    """How the job ended before each replay, oldest first."""

    @property
    def finished(self) -> bool:
        return self.state in FINAL_STATES


_HISTORY: Final = TypeAdapter(tuple[Outcome, ...])


def parse_record(job_id: str, record: Mapping[bytes, bytes]) -> JobStatus:
    """The JobStatus in a record's hash as Redis returns it (not empty)."""
    fields = {name.decode(): value.decode() for name, value in record.items()}
    job = Job.model_validate_json(fields["job"])
    outcome = Outcome.model_validate_json(fields["outcome"]) if "outcome" in fields else None
    done, _, total = fields.get("progress", "").partition("/")
    error = ErrorInfo.model_validate_json(fields["error"]) if "error" in fields else None
    return JobStatus.model_validate(
        {
            "id": job_id,
            "state": fields["state"],
            "engine": job.engine,
            "route": job.route,
            "trail": outcome.trail if outcome and outcome.trail else job.route.trail if job.route else (),
            "agreement": outcome.agreement if outcome else None,
            "image": redact_uri(job.image),
            "queue": job.queue,
            "tag": job.tag,
            "queued_at": _time(fields["queued_at"]),
            "started_at": _time(fields.get("started_at")),
            "finished_at": _time(fields.get("finished_at")),
            "worker": fields.get("worker"),
            "attempts": int(fields.get("attempts", 0)),
            "pages_done": outcome.pages if outcome else int(done or 0),
            "pages": outcome.pages if outcome else int(total) if total else None,
            "words": outcome.words if outcome else None,
            "mean_confidence": outcome.mean_confidence if outcome else None,
            "cached": outcome.cached if outcome else False,
            "device": outcome.device if outcome else None,
            "cancel_requested": "cancel" in fields,
            "result": outcome.result if outcome else None,
            "timings": outcome.timings if outcome else Timings(queue_wait_s=int(fields.get("queue_wait_ms", 0)) / 1000),
            "error": outcome.error if outcome else error,
            "history": _HISTORY.validate_json(fields["history"]) if "history" in fields else (),
        }
    )


def _time(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


class WorkerInfo(BaseModel):
    """A worker as it announces itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    queues: tuple[str, ...]
    engines: tuple[EngineOffer, ...]
    concurrency: int
    pid: int
    started_at: datetime
    seen_at: float = 0.0
    """Seconds since 1970 by Redis's clock."""
    running: int | None = None
    """Jobs that it works on, when it was last seen; None of a worker that does not say."""
    memory_bytes: int | None = None
    """Resident memory of its processes then; what they share counts in each."""


class EngineOffer(BaseModel):
    """An engine on a worker."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: str
    model: str
    languages: tuple[str, ...]
    """Empty where the engine does not care."""
    fixed_languages: bool = False
    """Whether no worker of this engine and model can read others."""
    reads_lines: bool = False
    """Whether it can read single lines of a page that another engine has read."""
    device: str | None = None


WorkerInfo.model_rebuild()
