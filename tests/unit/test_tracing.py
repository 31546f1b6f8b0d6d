"""The trace's context in messages, and what happens where nobody traces."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ocrqueue.core.celery_messages import TASK, celery_message, group_message
from ocrqueue.job import Job
from ocrqueue.settings import load_settings
from ocrqueue.tracing import current_traceparent, is_traceparent, tracer
from ocrqueue_worker.broker.envelopes import accepted

JOB = Job(image="s3://bucket/key", engine="null")
GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

APP = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ocrqueue.job import Job
from ocrqueue.core.celery_messages import celery_message, group_message
from ocrqueue.settings import load_settings
from ocrqueue.tracing import current_traceparent, span, tracer
taken = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(taken))
trace.set_tracer_provider(provider)
job = Job(image="s3://bucket/key")
with trace.get_tracer("app").start_as_current_span("page of the app"):
    with span(tracer(load_settings(), "ocrqueue"), "submit"):
        off = current_traceparent()
    headers = json.loads(celery_message(job))["headers"]
    group = json.loads('{"headers"' + group_message("g", "q")[1].partition('"headers"')[2])["headers"]
    try:
        with span(tracer(load_settings(tracing="otlp"), "ocrqueue"), "submit", "PRODUCER"):
            on = current_traceparent()
            raise ValueError("s3://secret")
    except ValueError:
        pass
print(json.dumps({
    "off": off, "headers": headers["traceparent"], "group": group["traceparent"], "on": on,
    "spans": [[span.name, span.status.description, len(span.events)] for span in taken.get_finished_spans()],
}))
"""


def test_an_app_that_traces_is_followed_whatever_the_settings_say() -> None:
    """In a process of its own: a tracer provider is set once in a process."""
    done = subprocess.run([sys.executable, "-c", APP], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert is_traceparent(found["headers"])
    assert found["off"] == found["headers"] == found["group"], "no span of our own unless it is asked for"
    assert found["on"] != found["off"]
    assert found["on"][:35] == found["off"][:35], "one trace"
    assert found["spans"] == [["submit", "ValueError", 0], ["page of the app", None, 0]], "nothing of its text"


def test_where_nobody_traces_a_message_has_no_header() -> None:
    assert current_traceparent() is None
    assert "traceparent" not in json.loads(celery_message(JOB))["headers"]
    assert "traceparent" not in group_message("g", "q")[1]
    assert tracer(load_settings(), "ocrqueue") is None


def test_what_monitors_is_not_imported_unless_it_is_asked_for() -> None:
    """redis-py imports OpenTelemetry's metrics where they are installed."""
    code = """
import sys
from ocrqueue import OcrQueue
from ocrqueue.job import Job
from ocrqueue.core.celery_messages import celery_message
import ocrqueue_worker.app
celery_message(Job(image="s3://b/k"))
print({"opentelemetry.sdk.trace", "opentelemetry.exporter", "prometheus_client"} & set(sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["opentelemetry.sdk.trace"] = None
from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import load_settings
from ocrqueue.tracing import check_tracing
check_tracing(load_settings())
try:
    check_tracing(load_settings(tracing="otlp"))
except SettingsInvalid as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'ocrqueue[tracing]'" in done.stdout


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (GOOD, True),
        (GOOD[:-2] + "00", True),
        (GOOD.upper(), False),
        (GOOD + "-more", False),
        (GOOD + "\n", False),
        ("01" + GOOD[2:], False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", False),
        ("", False),
        (7, False),
        ([GOOD], False),
        ({"a": 1}, False),
        ("x" * 100_000, False),
    ],
)
def test_of_the_tracing_headers_a_good_traceparent_passes(header: object, kept: bool) -> None:
    """And the job is done all the same."""
    message = json.loads(celery_message(JOB))
    message["headers"] |= {"traceparent": header, "tracestate": "a=b", "baggage": "c=d"}
    made = json.loads(accepted(json.dumps(message).encode(), "ocr.null", 100))
    assert made["headers"]["task"] == TASK
    assert made["headers"].get("traceparent") == (header if kept else None)
    assert not {"tracestate", "baggage"} & set(made["headers"])
