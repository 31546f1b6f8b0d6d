"""Traces by OpenTelemetry: one from an app's submission to the result, through the queue.

The context travels in a header of the message, as the W3C writes it (https://www.w3.org/TR/trace-context/). An app that
traces by itself passes its own on, whatever the settings say; with the setting `tracing` spans of ocrqueue's own are
added, which needs the extra `ocrqueue[tracing]`. They go to the app's tracer provider if it has set one, else to an
OTLP collector, which OTEL_EXPORTER_OTLP_ENDPOINT and its like name.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol

from ocrqueue.errors import OcrQueueError, SettingsInvalid

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

    from ocrqueue.settings import ClientSettings

HEADER: Final = "traceparent"
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LAST_SPANS_S: Final = 2.0

Attributes = Mapping[str, str | int | float | bool]

_own_providers: dict[int, TracerProvider] = {}
"""By process id: a provider's thread does not survive a fork."""
_making: threading.Lock = threading.Lock()


def is_traceparent(value: object) -> bool:
    """Whether it is what the header may hold: version 00, and neither id all zeros."""
    return isinstance(value, str) and _TRACEPARENT.fullmatch(value) is not None


def current_traceparent() -> str | None:
    """The context of the current span in this thread or coroutine; None if nobody traces."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(traceparent: str | None) -> Context | None:
    """What a header says; None where there is none: the current context counts."""
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: traceparent})


def check_tracing(settings: ClientSettings) -> None:
    """Raises SettingsInvalid where traces are wanted and cannot be made."""
    if settings.tracing == "off":
        return
    try:
        import opentelemetry.exporter.otlp.proto.http
        import opentelemetry.sdk.trace  # noqa: F401  # whether it is there
    except ImportError as error:
        raise SettingsInvalid(
            f"OCRQUEUE_TRACING is {settings.tracing}, and {error}.", remedy="pip install 'ocrqueue[tracing]'."
        ) from None


def tracer(settings: ClientSettings, service: str) -> Tracer | None:
    """This process's tracer; None if the settings want none. `service` names it if OTEL_SERVICE_NAME does not.

    Raises SettingsInvalid.
    """
    if settings.tracing == "off":
        return None
    check_tracing(settings)
    from opentelemetry import trace

    found = trace.get_tracer_provider()
    if not isinstance(found, trace.ProxyTracerProvider):
        return found.get_tracer("ocrqueue")
    return _own_provider(service).get_tracer("ocrqueue")


def _own_provider(service: str) -> TracerProvider:
    with _making:
        if os.getpid() not in _own_providers:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get(
                "OTEL_RESOURCE_ATTRIBUTES", ""
            )
            provider = TracerProvider(resource=Resource.create({} if named else {"service.name": service}))
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            _own_providers[os.getpid()] = provider
        return _own_providers[os.getpid()]


def send_last_spans() -> None:
    """In a process that is about to end without Python's own ways: 2 s at most."""
    provider = _own_providers.pop(os.getpid(), None)
    if provider is not None:
        sending = threading.Thread(target=provider.shutdown, daemon=True)
        sending.start()
        sending.join(_LAST_SPANS_S)


@contextmanager
def span(
    tracing: Tracer | None,
    name: str,
    kind: Literal["INTERNAL", "PRODUCER", "CONSUMER"] = "INTERNAL",
    attributes: Attributes | None = None,
    context: Context | None = None,
    note_errors: bool = True,
) -> Iterator[Span | None]:
    """A span that is current meanwhile; None without a tracer.

    With `note_errors`, it tells of an exception the code, or the type: what foreign ones say can hold a reference.
    """
    if tracing is None:
        yield None
        return
    from opentelemetry.trace import SpanKind

    with tracing.start_as_current_span(
        name,
        context=context,
        kind=SpanKind[kind],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except Exception as error:
            if note_errors:
                note_error(made, error.code if isinstance(error, OcrQueueError) else type(error).__name__)
            raise


def note_error(failed: Span, code: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    failed.set_status(Status(StatusCode.ERROR, code))
    failed.set_attribute("error.type", code)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


@contextmanager
def submission_span(settings: ClientSettings, submitted: Sequence[_Identified]) -> Iterator[None]:
    """Around a submission; `submitted` is filled meanwhile. Raises SettingsInvalid."""
    with span(tracer(settings, "ocrqueue"), "submit", "PRODUCER") as made:
        try:
            yield
        finally:
            if made is not None:
                made.set_attribute("messaging.batch.message_count", len(submitted))
                if len(submitted) == 1:
                    made.set_attribute("ocrqueue.job.id", submitted[0].id)
