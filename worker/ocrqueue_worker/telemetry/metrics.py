"""What a worker counts for Prometheus, and the places in the code where it is counted.

Off unless `start()` was called, which `metrics_server` does if a port is set; until then every function here does
nothing. Labels have few values: engines are those that this installation knows, error codes those of ocrqueue, and
what is neither is `other`. What cannot be counted is logged, and fails no job.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import structlog

from ocrqueue.core import Outcome, Start
from ocrqueue.errors import ErrorInfo, error_classes
from ocrqueue.job import Job
from ocrqueue.monitoring.metric import Metric
from ocrqueue.settings import WorkerSettings
from ocrqueue.settings.per_engine import PerEngine

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

_log = structlog.get_logger(__name__)

Arguments = ParamSpec("Arguments")

_WAITS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_STEPS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LOADS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_DELIVERIES: Final = (1.0, 2.0, 3.0, 5.0, 8.0)

OTHER: Final = "other"

JOBS: Final = Metric(
    "ocrqueue_jobs_total",
    "counter",
    "Jobs that ended here, by state and by the code of their error; for a partial job, its first error.",
    ("engine", "state", "error"),
)
RETRIES: Final = Metric("ocrqueue_job_retries_total", "counter", "Attempts that will be repeated.", ("engine", "error"))
FALLBACKS: Final = Metric(
    "ocrqueue_job_fallbacks_total",
    "counter",
    "Jobs, and pages of documents in parts, sent on to the next engine; reason: confidence, comparison, routing or "
    "the code of the error.",
    ("engine", "to", "reason"),
)
DELIVERIES: Final = Metric(
    "ocrqueue_job_deliveries", "histogram", "Deliveries of a job by the time it ended.", ("engine",), _DELIVERIES
)
QUEUE_WAIT: Final = Metric(
    "ocrqueue_queue_wait_seconds", "histogram", "From submission to the first start.", ("engine",), _WAITS
)
FETCH: Final = Metric("ocrqueue_fetch_seconds", "histogram", "Fetching the image, by attempt.", ("engine",), _STEPS)
DECODE: Final = Metric("ocrqueue_decode_seconds", "histogram", "Decoding its pages, by attempt.", ("engine",), _STEPS)
OCR: Final = Metric("ocrqueue_ocr_seconds", "histogram", "Reading its pages, by attempt.", ("engine",), _STEPS)
CROP: Final = Metric("ocrqueue_crop_seconds", "histogram", "Cutting its words, by attempt.", ("engine",), _STEPS)
UPLOAD: Final = Metric(
    "ocrqueue_upload_seconds", "histogram", "Storing crops and result, by attempt.", ("engine",), _STEPS
)
PAGES: Final = Metric("ocrqueue_pages_total", "counter", "Pages read.", ("engine",))
WORDS: Final = Metric("ocrqueue_words_total", "counter", "Words in results that were read here.", ("engine",))
IMAGE_BYTES: Final = Metric("ocrqueue_image_bytes_total", "counter", "Bytes of images fetched.", ("engine",))
CACHE_HITS: Final = Metric(
    "ocrqueue_cache_hits_total", "counter", "Jobs whose image had been read before.", ("engine",)
)
LOAD: Final = Metric("ocrqueue_engine_load_seconds", "histogram", "Loading an engine in a child.", ("engine",), _LOADS)
REQUESTS: Final = Metric(
    "ocrqueue_service_requests_total",
    "counter",
    "Requests to an engine's service in the cloud, by the code of their error, or of one of their images.",
    ("engine", "error"),
)
BILLED_IMAGES: Final = Metric(
    "ocrqueue_service_billed_images_total", "counter", "Images that the service bills.", ("engine",)
)
BILLED_COST: Final = Metric(
    "ocrqueue_service_billed_cost_total",
    "counter",
    "Cost of these images, in the currency of OCRQUEUE_ENGINE_PAGE_COST.",
    ("engine",),
)
CHILDREN: Final = Metric("ocrqueue_worker_children_started_total", "counter", "Child processes started for jobs.")

METRICS: Final = (
    JOBS,
    RETRIES,
    FALLBACKS,
    DELIVERIES,
    QUEUE_WAIT,
    FETCH,
    DECODE,
    OCR,
    CROP,
    UPLOAD,
    PAGES,
    WORDS,
    IMAGE_BYTES,
    CACHE_HITS,
    LOAD,
    REQUESTS,
    BILLED_IMAGES,
    BILLED_COST,
    CHILDREN,
)

_BY_STEP: Final[Mapping[str, Metric]] = {
    "fetch_s": FETCH,
    "decode_s": DECODE,
    "ocr_s": OCR,
    "crop_s": CROP,
    "upload_s": UPLOAD,
}


@dataclass
class _Counting:
    """The metrics of this process and of those that it forks."""

    folder: Path
    engines: frozenset[str]
    page_cost: PerEngine
    families: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def codes(self) -> frozenset[str]:
        return frozenset(error_classes())

    def engine(self, name: str) -> str:
        return name if name in self.engines else OTHER

    def code(self, error: ErrorInfo | None) -> str:
        return "" if error is None else self.known_code(error.code)

    def known_code(self, code: str) -> str:
        return code if code in self.codes else OTHER

    def add(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        counter: Counter = self.families[metric.name]
        (counter.labels(*labels) if labels else counter).inc(amount)

    def observe(self, metric: Metric, engine: str, value: float) -> None:
        histogram: Histogram = self.families[metric.name]
        histogram.labels(self.engine(engine)).observe(value)


_counting: _Counting | None = None


def start(folder: Path, settings: WorkerSettings, engines: Iterable[str], own: Iterable[str]) -> None:
    """Count from now on, into files in `folder`, one set a process: prometheus_client's multiprocess mode.

    In the worker's main process, before it forks. `engines`: those that there may be jobs for; `own`: those of them
    that this worker has, whose series are there from the beginning.
    """
    global _counting  # noqa: PLW0603  # one set of metrics for a process, as in prometheus_client itself
    # where the client library looks for it, when it is imported; what has imported it before counts elsewhere
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    from prometheus_client import Counter, Histogram, values

    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # the client leaves it so
    counting = _Counting(folder, frozenset(engines), settings.engine_page_cost)
    for metric in METRICS:
        counting.families[metric.name] = (
            Counter(metric.name, metric.help, metric.labels, registry=None)
            if metric.kind == "counter"
            else Histogram(metric.name, metric.help, metric.labels, registry=None, buckets=metric.buckets)
        )
    for engine in own:
        counting.add(JOBS, engine, "succeeded", "", amount=0)
        for metric in METRICS:
            if metric.labels == ("engine",):
                counting.families[metric.name].labels(engine)
    _counting = counting
    _reserve_space(counting.folder)


def close() -> None:
    """In the main process, at its end: remove the files."""
    if _counting is not None:
        shutil.rmtree(_counting.folder, ignore_errors=True)


def _reserve_space(folder: Path) -> None:
    """Take the space of this process's files on their disk, or count nothing here: writing to a mapped file on a full
    disk ends a process with SIGBUS (mmap(2))."""
    global _counting  # noqa: PLW0603  # see start()
    try:
        for path in folder.glob(f"*_{os.getpid()}.db"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        _counting = None
        _log.error("no space for this process's metrics", folder=str(folder), error=error.strerror)


def _counts(count: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A place where something is counted, if anything is; it fails nothing."""

    @wraps(count)
    def counted(*arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        if _counting is None:
            return
        try:
            count(*arguments, **named)
        except (OSError, ValueError) as error:
            _log.error("cannot count", what=count.__name__, error=str(error))

    return counted


def _now() -> _Counting:
    assert _counting is not None  # noqa: S101  # _counts() looked
    return _counting


# --- where something is counted ------------------------------------------------------------------------------------


@_counts
def child_started() -> None:
    """In a new process of the pool, before its first job."""
    _now().add(CHILDREN)
    _reserve_space(_now().folder)


@_counts
def job_begun(job: Job, begun: Start) -> None:
    """An attempt begins."""
    if begun.number == 1 and not begun.pages:
        _now().observe(QUEUE_WAIT, job.engine, begun.queue_wait_s)


@_counts
def page_read(job: Job, outcome: Outcome) -> None:
    """A page part is done."""
    now = _now()
    engine = now.engine(job.engine)
    now.add(PAGES, engine, amount=outcome.pages)
    now.add(WORDS, engine, amount=outcome.words)


@_counts
def job_ended(job: Job, outcome: Outcome, deliveries: int, in_parts: bool = False) -> None:
    """`deliveries`: how often it was delivered; 0 where that is not known. `in_parts`: its pages were counted."""
    now = _now()
    engine = now.engine(job.engine)
    now.add(JOBS, engine, outcome.state, now.code(outcome.error))
    if deliveries:
        now.observe(DELIVERIES, job.engine, deliveries)
    if outcome.cached:
        now.add(CACHE_HITS, engine)
    elif not in_parts:
        now.add(PAGES, engine, amount=outcome.pages)
        now.add(WORDS, engine, amount=outcome.words)


@_counts
def job_retried(job: Job, error: ErrorInfo) -> None:
    now = _now()
    now.add(RETRIES, now.engine(job.engine), now.code(error))


@_counts
def job_sent_on(job: Job, onward: Job, pages: int) -> None:
    """`job` as this engine had it, `onward` as the next one gets it; `pages` that this one has read."""
    now = _now()
    engine = now.engine(job.engine)
    now.add(FALLBACKS, engine, now.engine(onward.engine), _reason(job, onward))
    now.add(PAGES, engine, amount=pages)


def _reason(job: Job, onward: Job) -> str:
    trail = onward.route.trail if onward.route else ()
    if not trail or trail[-1].engine != job.engine:
        return "routing"
    if (code := trail[-1].error) is not None:
        return _now().known_code(code)
    return "comparison" if onward.route is not None and onward.route.mode == "compare" else "confidence"


@_counts
def image_fetched(engine: str, size: int) -> None:
    """`size` in bytes."""
    now = _now()
    now.add(IMAGE_BYTES, now.engine(engine), amount=size)


@_counts
def attempt_made(engine: str, spent: Mapping[str, float]) -> None:
    """An attempt is over; `spent`: seconds in each of its steps, by the names in Timings."""
    for step, seconds in spent.items():
        if step in _BY_STEP:
            _now().observe(_BY_STEP[step], engine, seconds)


@_counts
def engine_loaded(engine: str, seconds: float) -> None:
    _now().observe(LOAD, engine, seconds)


@_counts
def service_asked(engine: str, billed: int, error: str | None) -> None:
    """A request to an engine's service ended; `error`: its code, or that of an image in it. `billed` in images."""
    now = _now()
    name = now.engine(engine)
    now.add(REQUESTS, name, "" if error is None else now.known_code(error))
    now.add(BILLED_IMAGES, name, amount=billed)
    now.add(BILLED_COST, name, amount=billed * now.page_cost.of(engine) / 100_000)
