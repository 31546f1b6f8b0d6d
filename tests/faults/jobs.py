"""The jobs of a rehearsal: what each asks, and how it may truly end whatever happens around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Final

from PIL import Image
from pydantic import JsonValue

from ocrqueue.job import CropMode, Job
from ocrqueue.job.names import OutputFormat, Priority
from ocrqueue.storage import Storage
from ocrqueue.submitting.submission import upload
from tests.support.pictures import png, text_picture, tiff

TESSERACT_TEXT: Final = "Hello 42"

PICTURES: Final[Mapping[str, bytes]] = {
    "one page": png(text_picture(TESSERACT_TEXT)),
    "two pages": tiff(text_picture("first"), text_picture("second")),
    "three pages": tiff(text_picture("first"), text_picture("second", "and more"), text_picture("third")),
    "corrupt": png(text_picture("never read"))[:500],
}
"""Files by name. Their pages are grey, 640 x 160 pixels."""

PAGES: Final[Mapping[str, int]] = {"one page": 1, "two pages": 2, "three pages": 3}


@dataclass(frozen=True, slots=True)
class End:
    """A way to end: the state, and the error's code where there is one."""

    state: str
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.state} {self.code}" if self.code else self.state


SUCCEEDED: Final = End("succeeded")
CANCELLED: Final = End("cancelled")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is the matter with a job; `ends` holds the ends that are true of it, and no other end is."""

    name: str
    ends: frozenset[End]
    engine: str = "null"
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()
    """Engines after it; its words may be theirs."""
    picture: str | None = None
    """One of PICTURES, "absent" for a reference to nothing, or None: any that is good."""
    slow: bool = False
    """Holds a worker for seconds."""

    @property
    def healthy(self) -> bool:
        return self.ends == {SUCCEEDED}


def _fault(name: str, *ends: End, slow: bool = False, **options: JsonValue) -> Kind:
    return Kind(name, frozenset(ends), options={"fault": name, **options}, slow=slow)


_HEALTHY: Final = (
    Kind("read", frozenset({SUCCEEDED})),
    Kind("tesseract", frozenset({SUCCEEDED}), engine="tesseract", picture="one page"),
)
_FAULTY: Final = (
    Kind("sent_on", frozenset({SUCCEEDED}), fallback=("tesseract",), options={"confidence": 0.3}, picture="one page"),
    Kind(
        "fallen_back", frozenset({SUCCEEDED}), fallback=("tesseract",), options={"fault": "error"}, picture="one page"
    ),
    _fault("error", End("failed", "engine.failed")),
    _fault("bug", End("failed", "engine.failed")),
    _fault("memory", End("failed", "engine.out_of_memory")),
    _fault("exhaust", End("failed", "engine.out_of_memory")),
    _fault("garbage", End("failed", "engine.failed")),
    # tried again until its tries run out: the last may have met an outage before it came so far
    _fault("disk_full", End("failed", "worker.disk_full"), End("failed", "storage.unavailable")),
    _fault("retryable", End("failed", "source.unavailable"), End("failed", "storage.unavailable")),
    _fault("segfault", End("failed", "job.poison"), slow=True),
    _fault("kill", End("failed", "job.poison"), slow=True),
    _fault("stall", End("failed", "engine.timeout"), slow=True),
    _fault("hang", End("failed", "engine.timeout"), slow=True),
    Kind(
        "partial",
        frozenset({End("partial", "engine.failed")}),
        options={"fault": "error", "fault_page": 2},
        picture="three pages",
    ),
    Kind("corrupt", frozenset({End("failed", "image.corrupt"), End("failed", "image.truncated")}), picture="corrupt"),
    Kind("absent", frozenset({End("failed", "source.not_found")}), picture="absent"),
)
KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (*_HEALTHY, *_FAULTY)}
FAULTY_KINDS: Final = tuple(kind.name for kind in _FAULTY)


@dataclass(frozen=True, slots=True)
class Plan:
    """One job of the schedule. Times are in seconds from its begin."""

    id: str
    at: float
    kind: Kind
    picture: str
    words: int
    """On each page, for the null engine."""
    delay_s: float = 0.0
    """That each page takes, for the null engine."""
    crops: CropMode = "objects"
    crop_padding: int = 2
    outputs: tuple[OutputFormat, ...] = ()
    priority: Priority = "normal"
    cancel_at: float | None = None
    repeats: int = 0
    """Submissions more with the same idempotency key, at the same moment."""
    clock_skew_s: float = 0.0
    """How far the producer's clock is ahead."""
    more_options: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def ends(self) -> frozenset[End]:
        return self.kind.ends | {CANCELLED} if self.cancel_at is not None else self.kind.ends

    @property
    def pages(self) -> int:
        return PAGES.get(self.picture, 0)

    def job(self, references: Mapping[str, str], repeat: int = 0) -> Job:
        """The Job to submit; `references` are the URIs of PICTURES. A repeat has another id and the same key."""
        options: dict[str, JsonValue] = {}
        if self.kind.engine == "null":
            options = {"words": self.words, "delay_s": self.delay_s, **self.kind.options, **self.more_options}
        return Job(
            id=self.id if repeat == 0 else f"{self.id}-again{repeat}",
            image=references[self.picture],
            engine=self.kind.engine,
            fallback=self.kind.fallback,
            options={self.kind.engine: options} if self.kind.fallback else options,
            crops=self.crops,
            crop_padding=self.crop_padding,
            outputs=self.outputs,
            priority=self.priority,
            tag=self.kind.name,
            batch=self.kind.name if self.priority == "normal" else None,
            idempotency_key=f"once-{self.id}" if self.repeats else None,
            submitted_at=datetime.now(UTC) + timedelta(seconds=self.clock_skew_s),
        )


def upload_pictures(storage: Storage) -> dict[str, str]:
    """Store PICTURES; returns the reference to each, and one to nothing as "absent"."""
    stored = {name: upload(data, storage) for name, data in PICTURES.items()}
    return stored | {"absent": storage.uri("inputs/absent.png")}


def page_image(picture: str, number: int) -> Image.Image:
    """Page `number` (from 1) of a picture, as it was drawn."""
    image = Image.open(BytesIO(PICTURES[picture]))
    image.seek(number - 1)
    return image.convert("L")
