"""The trace's context in messages, and what happens where nobody traces."""

from __future__ import annotations

import json

import pytest

from ocrqueue.core.celery_messages import TASK, celery_message, group_message
from ocrqueue.job import Job
from ocrqueue.settings import load_settings
from ocrqueue.tracing import current_traceparent, tracer
from ocrqueue_worker.broker.envelopes import accepted

JOB = Job(image="s3://bucket/key", engine="null")
GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_where_nobody_traces_a_message_has_no_header() -> None:
    assert current_traceparent() is None
    assert "traceparent" not in json.loads(celery_message(JOB))["headers"]
    assert "traceparent" not in group_message("g", "q")[1]
    assert tracer(load_settings(), "ocrqueue") is None


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
