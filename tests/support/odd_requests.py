"""Hooks of schemathesis, which tries the gateway's OpenAPI document.

They say how the lines of a batch are written, and which jobs are gone. Its own check for that, `use_after_free`, takes
each DELETE for a deletion; here it cancels, and deletes with `purge=true`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import schemathesis

_PURGED: Final[set[str]] = set()
"""Ids of jobs."""


@schemathesis.serializer("application/x-ndjson", "application/jsonl", "application/json-lines")
def as_lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response) -> None:
    if case.operation.label == "DELETE /v1/jobs/{job_id}" and response.status_code == HTTPStatus.NO_CONTENT:
        _PURGED.add(str(case.path_parameters["job_id"]))


@schemathesis.check
def purged_jobs_are_gone(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    if case.method != "DELETE" and response.status_code < HTTPStatus.BAD_REQUEST:
        job_id = (case.path_parameters or {}).get("job_id")
        assert job_id not in _PURGED, f"{job_id} was deleted, and is there"
