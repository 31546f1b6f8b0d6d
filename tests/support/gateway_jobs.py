"""Jobs by HTTP, as the gateway's tests submit and await them."""

from __future__ import annotations

from typing import Any

import httpx

PATIENT_S = 60


def submitted(http: httpx.Client, **fields: object) -> str:
    """The id of a job that was submitted by JSON."""
    return accepted(http.post("/v1/jobs", json={"crops": "none", **fields}))


def accepted(answer: httpx.Response) -> str:
    """The id of the job that an answer is about."""
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    assert answer.headers["location"] == f"/v1/jobs/{job_id}"
    assert int(answer.headers["retry-after"]) >= 1
    return job_id


def ended(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job, once it has ended; a busy machine takes longer than one request waits."""
    for _ in range(5):
        told: dict[str, Any] = http.get(f"/v1/jobs/{job_id}", params={"wait": PATIENT_S}).json()
        if told.get("state") not in ("queued", "running"):
            break
    assert told["state"] not in ("queued", "running"), told
    return told


def problem_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer is, which is the one that is expected."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["type"].endswith(f"#{code}")
    assert problem["title"]
    assert problem["remedy"]
    return problem
