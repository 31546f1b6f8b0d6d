"""Jobs by HTTP: submitted with a reference, asked for, and their results in every format."""

from __future__ import annotations

import shutil

import httpx
import pytest

from tests.integration.conftest import Installation
from tests.support.documentation import ROOT
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]


@pytest.fixture
def sign(installation: Installation) -> str:
    """A reference to an image with a word on it."""
    path = installation.file_root / "sign.jpg"
    shutil.copyfile(ROOT / "samples/street-sign.jpg", path)
    return path.as_uri()


def submitted(http: httpx.Client, **fields: object) -> str:
    answer = http.post("/v1/jobs", json=fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    return answer.json()["id"]


def ended(http: httpx.Client, job_id: str) -> dict[str, object]:
    def finished() -> bool:
        return http.get(f"/v1/jobs/{job_id}").json()["state"] not in ("queued", "running")

    wait_until(finished, 60, "the job ends")
    return http.get(f"/v1/jobs/{job_id}").json()


def test_a_reference_is_read(http: httpx.Client, sign: str) -> None:
    job_id = submitted(http, image=sign, engine="null", tag="signs", crops="none")
    told = ended(http, job_id)
    assert (told["state"], told["tag"], told["pages"]) == ("succeeded", "signs", 1)
    result = http.get(f"/v1/jobs/{job_id}/result")
    assert result.headers["content-type"] == "application/json"
    assert result.json()["job_id"] == job_id


def test_a_job_that_nobody_knows(http: httpx.Client) -> None:
    answer = http.get("/v1/jobs/nobody-knows-it")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "job.unknown"
    assert problem["type"].endswith("#job.unknown")
    assert (problem["status"], problem["retryable"]) == (404, False)
    assert problem["remedy"]
