"""An OTLP collector: takes spans by HTTP, as OpenTelemetry's exporters send them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class SpanTaken:
    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    begin_s: float
    end_s: float
    error: str
    attributes: dict[str, object]
    events: tuple[dict[str, object], ...]

    def of_job(self, job_id: str) -> bool:
        return self.attributes.get("ocrqueue.job.id") == job_id


@dataclass
class Collector:
    url: str
    spans: list[SpanTaken] = field(default_factory=list)

    def named(self, name: str) -> list[SpanTaken]:
        return [span for span in list(self.spans) if span.name == name]


@contextmanager
def collector() -> Iterator[Collector]:
    """At a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            taken.spans += list(spans_in(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def spans_in(body: bytes) -> Iterator[SpanTaken]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = str(plain(resource.resource.attributes)["service.name"])
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SpanTaken(
                    service,
                    span.name,
                    span.kind,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.start_time_unix_nano / 1e9,
                    span.end_time_unix_nano / 1e9,
                    span.status.message if span.status.code == 2 else "",
                    plain(span.attributes),
                    tuple(plain(event.attributes) for event in span.events),
                )


def plain(attributes: object) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}  # type: ignore[attr-defined]  # a protobuf list
