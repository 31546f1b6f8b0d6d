"""The trace's context, and what happens where nobody traces."""

from __future__ import annotations

from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.job import Job
from ocrqueue.settings import load_worker_settings
from ocrqueue.tracing import current_traceparent, tracer


def test_where_nobody_traces_a_job_has_no_trace() -> None:
    assert current_traceparent() is None
    assert "trace" not in str(ScriptArguments(load_worker_settings()).submit([Job(image="s3://b/k", engine="null")]))
    assert tracer(load_worker_settings(), "ocrqueue") is None
