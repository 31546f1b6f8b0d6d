"""The worker's part of a trace: a span for each attempt at a job, and for each of its steps.

A process's provider is made at its first job, which is after the fork. Where an app's message brought no context, the
trace begins here. Attributes hold no image reference, as log lines do not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from structlog.contextvars import get_contextvars

from ocrqueue.core import Outcome, Start
from ocrqueue.job import Job
from ocrqueue.settings import process_settings
from ocrqueue.tracing import Attributes, context_of, note_error, span, tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

SERVICE: Final = "ocrqueue-worker"

_STEPS: Final = {
    "fetch_s": "fetch",
    "decode_s": "decode",
    "ocr_s": "recognise",
    "crop_s": "crop",
    "upload_s": "upload",
}


def _tracer() -> Tracer | None:
    settings = process_settings()
    return None if settings.tracing == "off" else tracer(settings, SERVICE)


class AttemptSpan:
    """That of one attempt at a job. Those of jobs that are read together are current by turns."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    @contextmanager
    def current(self) -> Iterator[None]:
        """What is done meanwhile belongs to it. How the attempt ended is told by job_ended() and attempt_failed(); what
        is raised is for others."""
        if self._span is None:
            yield
            return
        from opentelemetry.trace import use_span

        with use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def end(self) -> None:
        """It is sent. To be called once."""
        if self._span is not None:
            self._span.end()


def begin_attempt(job: Job, start: Start, traceparent: str | None, together: int = 1) -> AttemptSpan:
    """The span of an attempt that begins now, and one for the job's time in the queue before.

    `together`: how many jobs are read together.
    """
    tracing = _tracer()
    if tracing is None:
        return AttemptSpan(None)
    from opentelemetry.trace import SpanKind

    context = context_of(traceparent)
    if traceparent is not None and start.number == 1 and not start.pages:
        now_ns = time.time_ns()
        waited = tracing.start_span("wait in queue", context, start_time=now_ns - int(start.queue_wait_s * 1e9))
        waited.set_attribute("messaging.destination.name", job.queue)
        waited.end(now_ns)
    attributes: Attributes = {
        "messaging.destination.name": job.queue,
        "messaging.batch.message_count": together,
        "ocrqueue.job.id": job.id,
        "ocrqueue.engine": job.engine,
        "ocrqueue.attempt": start.number,
        "ocrqueue.queue_wait_s": start.queue_wait_s,
    }
    return AttemptSpan(tracing.start_span("recognize", context, SpanKind.CONSUMER, attributes))


@contextmanager
def attempt_span(job: Job, start: Start, traceparent: str | None) -> Iterator[None]:
    """Around one attempt at a job that is read by itself."""
    own = begin_attempt(job, start, traceparent)
    try:
        with own.current():
            yield
    finally:
        own.end()


@contextmanager
def step_span(step: str) -> Iterator[None]:
    """Around a step, by its name in Timings."""
    with span(_tracer(), _STEPS.get(step, step), attributes=_job()):
        yield


def step_taken(step: str, seconds: float) -> None:
    """A span of a step that took so long until now."""
    if (tracing := _tracer()) is not None:
        now_ns = time.time_ns()
        begun_ns = now_ns - int(seconds * 1e9)
        tracing.start_span(_STEPS.get(step, step), attributes=_job(), start_time=begun_ns).end(now_ns)


def job_ended(outcome: Outcome) -> None:
    """An event in the current span; a job that failed marks it."""
    if _tracer() is None:
        return
    from opentelemetry.trace import get_current_span

    current = get_current_span()
    counts = {"ocrqueue.state": outcome.state, "ocrqueue.pages": outcome.pages, "ocrqueue.words": outcome.words}
    current.add_event("job ended", {"ocrqueue.job.id": outcome.job_id, "ocrqueue.cached": outcome.cached, **counts})
    if outcome.state == "failed" and outcome.error is not None:
        note_error(current, outcome.error.code)


def attempt_failed(code: str) -> None:
    """The attempt whose span is current failed, and the job is to be tried again."""
    if _tracer() is None:
        return
    from opentelemetry.trace import get_current_span

    note_error(get_current_span(), code)


def _job() -> dict[str, str]:
    """Whose step it is, as log lines have it."""
    job_id = get_contextvars().get("job_id")
    return {"ocrqueue.job.id": job_id} if isinstance(job_id, str) else {}
