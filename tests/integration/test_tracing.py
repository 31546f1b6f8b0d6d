"""Tracing in an app of its own: a tracer provider is set once in a process."""

from __future__ import annotations

import json
import subprocess
import sys

from ocrqueue.tracing import is_traceparent

APP = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ocrqueue.job import Job
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.settings import load_worker_settings
from ocrqueue.tracing import current_traceparent, span, tracer
taken = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(taken))
trace.set_tracer_provider(provider)
job = Job(image="s3://bucket/key")
with trace.get_tracer("app").start_as_current_span("page of the app"):
    with span(tracer(load_worker_settings(), "ocrqueue"), "submit"):
        off = current_traceparent()
    (entry,) = json.loads(ScriptArguments(load_worker_settings()).submit([job])[2])
    try:
        with span(tracer(load_worker_settings(tracing="otlp"), "ocrqueue"), "submit", "PRODUCER"):
            on = current_traceparent()
            raise ValueError("s3://secret")
    except ValueError:
        pass
print(json.dumps({
    "off": off, "entry": entry["trace"], "on": on,
    "spans": [[span.name, span.status.description, len(span.events)] for span in taken.get_finished_spans()],
}))
"""


def test_an_app_that_traces_is_followed_whatever_the_settings_say() -> None:
    done = subprocess.run([sys.executable, "-c", APP], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert is_traceparent(found["entry"])
    assert found["off"] == found["entry"], "no span of our own unless it is asked for"
    assert found["on"] != found["off"]
    assert found["on"][:35] == found["off"][:35], "one trace"
    assert found["spans"] == [["submit", "ValueError", 0], ["page of the app", None, 0]], "nothing of its text"


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["opentelemetry.sdk.trace"] = None
from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import load_worker_settings
from ocrqueue.tracing import check_tracing
check_tracing(load_worker_settings())
try:
    check_tracing(load_worker_settings(tracing="otlp"))
except SettingsInvalid as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'ocrqueue[tracing]'" in done.stdout
