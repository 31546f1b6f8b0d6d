"""What records say: JobStatus of a job, Outcome at its end, WorkerInfo of a live worker."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ocrqueue.document import Confidence, Document, Timings
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import JOB_ID, Job
from ocrqueue.job.references import redact_uri
from ocrqueue.job.route import Route, Share, Step

State = Literal["queued", "running", "succeeded", "partial", "failed", "cancelled", "unknown"]
"""unknown: a state that a newer version writes, and this one does not know."""
FINAL_STATES: Final[frozenset[State]] = frozenset({"succeeded", "partial", "failed", "cancelled"})

WITH_RESULT: Final[frozenset[State]] = frozenset({"succeeded", "partial"})


class Outcome(BaseModel):
    """How a job ended; also the summary that `AsyncResult(id).get()` returns for jobs submitted by name."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

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
    timings: Timings = Timings.model_construct()
    stored_anew: bool = Field(default=False, exclude=True)
    """Whether the result was stored by the attempt itself: none of another attempt stood there. Not kept in Redis."""
    input_bytes: int = Field(default=0, exclude=True)
    """Size of what was read, where it is known: for usage. Not kept in the record."""
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
            words=document.word_count,
            mean_confidence=None if confidence is None else round(confidence, 4),
            cached=document.cached,
            device=document.engine.device,
            trail=document.trail,
            agreement=document.mean_agreement,
            input_bytes=document.input.bytes or 0,
            timings=timings or document.timings,
            error=document.errors[0] if document.errors else None,
        )

    def to_message(self) -> dict[str, object]:
        """Plain JSON values, every field present."""
        return self.model_dump(mode="json")


class JobStatus(BaseModel):
    """The state of a job at one moment, by its record."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    id: str
    state: State
    engine: str
    """The engine; for a job with a route, the one whose turn it is."""
    route: Route | None = None
    """The engines of a job with auto, fallback or compare, and why these."""
    trail: tuple[Step, ...] = ()
    """How those of them fared that have had their turn, in order."""
    agreement: float | None = None
    """With compare, at the end: how far the engines agree, as the mean over the words."""
    image: str
    queue: str
    tenant: str = ""
    tag: str | None = None
    name: str | None = None
    """What the image is called, such as the name of the file that was submitted."""
    batch: str | None = None
    queued_at: datetime
    started_at: datetime | None = None
    """When its first attempt began, since it was submitted or replayed. `history()` has the starts of all attempts."""
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
    timings: Timings = Timings.model_construct()
    error: ErrorInfo | None = None
    history: tuple[Outcome, ...] = ()
    """How the job ended before each replay, oldest first; the newest 20."""

    @property
    def finished(self) -> bool:
        return self.state in FINAL_STATES


_KNOWN_STATES: Final = frozenset(get_args(State))
_MOST_DIGITS: Final = 15
"""Of a number or a time in a record; what has more was not written by us."""
_UNREADABLE: Final = "unreadable:"
"""The image of a job whose record names none."""
Parsed = TypeVar("Parsed", bound=BaseModel)


def parse_record(job_id: str, record: Mapping[bytes, bytes]) -> JobStatus:
    """The JobStatus in a record's hash as Redis returns it (not empty).

    Never raises: if a newer version has written the record, it returns what this version understands.
    """
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in record.items()}
    return _status(stored_job(job_id, fields.get("job", "")), job_id, fields)


def newest_start(record: Mapping[bytes, bytes]) -> datetime | None:
    """Of a record's hash as Redis returns it: when the newest attempt at the job, or at a part of it, began."""
    times = (_time(record.get(field, b"").decode(errors="replace")) for field in (b"restarted_at", b"started_at"))
    return next(filter(None, times), None)


def queued_status(job: Job, queued_at_ms: bytes) -> JobStatus:
    """Of a job that was queued at this moment, by Redis's clock."""
    fields = {"state": "queued", "queued_at": queued_at_ms.decode()}
    return _status(job, job.id, fields if job.batch is None else {**fields, "batch": job.batch})


def _status(job: Job, job_id: str, fields: Mapping[str, str]) -> JobStatus:
    outcome = _parsed(Outcome, fields.get("outcome"))
    done, _, total = fields.get("progress", "").partition("/")
    state = fields.get("state", "")
    # a cancelled job's says nothing of those that were read until then
    has_pages = outcome is not None and outcome.state != "cancelled"
    return JobStatus.model_validate(
        {
            "id": job_id,
            "state": state if state in _KNOWN_STATES else "unknown",
            "engine": job.engine,
            "route": job.route,
            "trail": outcome.trail if outcome and outcome.trail else job.route.trail if job.route else (),
            "agreement": outcome.agreement if outcome else None,
            "image": redact_uri(job.image),
            "queue": job.queue,
            "tenant": job.tenant,
            "tag": job.tag,
            "name": job.name,
            "batch": fields.get("batch"),
            "queued_at": _time(fields.get("queued_at")) or datetime.fromtimestamp(0, UTC),
            "started_at": _started(fields),
            "finished_at": _time(fields.get("finished_at")),
            "worker": fields.get("worker"),
            "attempts": _number(fields.get("attempts")),
            "pages_done": outcome.pages if outcome and has_pages else _number(done),
            "pages": outcome.pages if outcome and has_pages else _number(total) if total else None,
            "words": outcome.words if outcome else None,
            "mean_confidence": outcome.mean_confidence if outcome else None,
            "cached": outcome.cached if outcome else False,
            "device": outcome.device if outcome else None,
            "cancel_requested": "cancel" in fields,
            "result": outcome.result if outcome else None,
            "timings": outcome.timings
            if outcome
            else Timings(queue_wait_s=_number(fields.get("queue_wait_ms")) / 1000),
            "error": outcome.error if outcome else _parsed(ErrorInfo, fields.get("error")),
            "history": _history(fields.get("history")),
        }
    )


def stored_job(job_id: str, text: str) -> Job:
    """The Job of a record. Fields that this version does not know, or whose values it does not know, are left out.

    Without an image, or with an id that no job of this version can have, is_readable() is false: such an id could lead
    out of the job's folder in storage.
    """
    try:
        job = Job.model_validate_json(text)
        if job.id == job_id:
            return job
    except ValidationError:
        pass
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    fields = (
        {name: value for name, value in given.items() if name in Job.model_fields} if isinstance(given, dict) else {}
    )
    fixed = {"id": job_id}
    if not re.fullmatch(JOB_ID, job_id):
        name = hashlib.sha256(job_id.encode(errors="replace")).hexdigest()[:32]
        fixed = {"id": f"unreadable-{name}", "image": _UNREADABLE}
    while True:
        try:
            return Job.model_validate({"image": _UNREADABLE, **fields, **fixed})
        except ValidationError as error:
            wrong = {str(item["loc"][0]) for item in error.errors() if item["loc"]} & fields.keys()
            # what does not fit together without one field at fault is dropped as a whole
            fields = {name: value for name, value in fields.items() if wrong and name not in wrong}


def is_readable(job: Job) -> bool:
    """Whether its record says what is to be read."""
    return job.image != _UNREADABLE


def _parsed(model: type[Parsed], text: str | None) -> Parsed | None:
    if text is None:
        return None
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None


def _history(text: str | None) -> tuple[Outcome, ...]:
    found = [_parsed(Outcome, line) for line in (text or "").split("\n")]
    return tuple(outcome for outcome in found if outcome is not None)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < _MOST_DIGITS else 0


def _started(fields: Mapping[str, str]) -> datetime | None:
    # one that was replayed and has not been started since has the time of before
    return None if "replayed" in fields and "queue_wait_ms" not in fields else _time(fields.get("started_at"))


def _time(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(_number(milliseconds) / 1000, UTC) if _number(milliseconds) else None


class Trouble(BaseModel):
    """What is wrong with a worker."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    what: str
    """Part of its access: `storage`, `sources`, `temporary files`, `redis`, or `languages of <engine>`."""
    error: ErrorInfo
    since: datetime
    engine: str | None = None
    """The one that it is about; None: all."""
    stops: bool = True
    """Whether the worker takes no parts for that while it lasts; of an engine, while another worker could."""

    def __str__(self) -> str:
        return f"{self._takes}{self.error.code}: {self.error.message} {self.error.remedy}".rstrip()

    @property
    def _takes(self) -> str:
        if not self.stops:
            return ""
        # where no other worker can do them, it takes and fails them, so that they do not wait forever
        if self.engine is None:
            return "takes no jobs: "
        return f"cannot do jobs for {self.engine}, and leaves them to others if any can: "


class EngineOffer(BaseModel):
    """An engine on a worker."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

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


class WorkerInfo(BaseModel):
    """A worker as it announces itself."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    name: str
    holder: str = ""
    """The id of this process. It holds the parts in hand, since names of workers repeat."""
    queues: tuple[str, ...]
    engines: tuple[EngineOffer, ...]
    concurrency: int
    pid: int
    started_at: datetime
    seen_at: float = 0.0
    """Seconds since 1970 by Redis's clock."""
    running: int | None = None
    """Jobs that it works on, when it was last seen; None of a worker that does not say."""
    draining: bool = False
    """Whether it takes no more jobs, and ends when those in hand have ended."""
    memory_bytes: int | None = None
    """Resident memory of its processes then; what they share counts in each."""
    troubles: tuple[Trouble, ...] = ()
    """What is wrong with its access, and whether it takes parts all the same."""

    def takes(self, engine: str) -> bool:
        """Whether the worker can do parts for this engine. If not, it takes none while other workers can."""
        return not any(trouble.stops and trouble.engine in (None, engine) for trouble in self.troubles)

    @property
    def is_stopped(self) -> bool:
        """Whether the worker can do parts for no engine, since its access is broken."""
        troubled = any(trouble.stops for trouble in self.troubles)
        return troubled and not any(self.takes(offer.name) for offer in self.engines)

    @property
    def doing(self) -> str:
        """In a word."""
        if self.draining:
            return "draining"
        return "stopped" if self.is_stopped else "working" if self.running else "idle"
