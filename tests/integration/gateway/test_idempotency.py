"""Idempotency-Key: one job, however often a request is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings
from tests.integration.gateway.test_uploads import head
from tests.support.documentation import ROOT
from tests.support.gateway_jobs import accepted, problem_of
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]

ELSEWHERE = "https://example.org/scan.png"
SIGN = (ROOT / "samples/street-sign.jpg").read_bytes()


def jobs_of(http: httpx.Client) -> list[str]:
    return [job["id"] for job in http.get("/v1/jobs").json()["jobs"]]


@pytest.mark.parametrize("way", ["json", "body", "form"])
def test_a_request_that_is_sent_again_makes_no_second_job(idle: httpx.Client, way: str) -> None:
    fields = {"engine": "null", "tag": "once"}
    given: dict[str, Any] = {
        "json": {"json": {"image": ELSEWHERE, **fields}},
        "body": {"content": SIGN, "params": fields, "headers": {"content-type": "image/jpeg"}},
        "form": {"files": {"file": SIGN}, "data": fields},
    }[way]
    headers = {"idempotency-key": f"order-{way}", **given.pop("headers", {})}
    first = idle.post("/v1/jobs", headers=headers, **given)
    again = idle.post("/v1/jobs", headers=headers, **given)
    assert accepted(first) == accepted(again)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert jobs_of(idle) == [first.json()["id"]]


def test_another_request_with_the_same_key_is_refused(idle: httpx.Client) -> None:
    headers = {"idempotency-key": '"order-1"'}
    accepted(idle.post("/v1/jobs", json={"image": ELSEWHERE}, headers=headers))
    others = ({"image": ELSEWHERE, "tag": "x"}, {"image": f"{ELSEWHERE}?2"}, {"image": ELSEWHERE, "password": "p"})
    for other in others:
        problem_of(idle.post("/v1/jobs", json=other, headers=headers), 422, "request.idempotency_mismatch")
    assert len(jobs_of(idle)) == 1


def test_a_key_whose_request_has_failed_is_free(idle: httpx.Client) -> None:
    headers = {"idempotency-key": "order-2"}
    problem_of(idle.post("/v1/jobs", json={"image": ELSEWHERE, "engine": "x"}, headers=headers), 422, "engine.unknown")
    problem_of(idle.post("/v1/jobs", json={"image": 1}, headers=headers), 422, "job.malformed")
    accepted(idle.post("/v1/jobs", json={"image": ELSEWHERE}, headers=headers))


def test_a_key_may_be_in_quotes(idle: httpx.Client) -> None:
    first, again = (
        idle.post("/v1/jobs", json={"image": ELSEWHERE}, headers={"idempotency-key": key}) for key in ("q-1", '"q-1"')
    )
    assert accepted(first) == accepted(again)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, b"\xe4", '"half', '""', 'a"b'])
def test_a_key_that_is_none(idle: httpx.Client, key: str | bytes) -> None:
    headers = {b"idempotency-key": key if isinstance(key, bytes) else key.encode()}
    answer = idle.post("/v1/jobs", json={"image": ELSEWHERE}, headers=headers)
    problem_of(answer, 422, "request.invalid")


def test_while_the_first_is_in_progress(idle: httpx.Client, settings: WorkerSettings) -> None:
    headers = {"idempotency-key": "order-3", "content-type": "image/jpeg"}
    with OcrQueue(settings) as queue:
        claim = registry_of(queue).keys.claim("", "job", "order-3")
        with head(idle, "content-type: image/jpeg", "idempotency-key: order-3", "content-length: 1000"):
            wait_until(lambda: registry_of(queue).client.exists(claim), 60, "the first has begun")
            answer = idle.post("/v1/jobs", content=SIGN, headers=headers)
            assert problem_of(answer, 409, "request.in_progress")["retryable"]
        # it was cut off
        wait_until(lambda: not registry_of(queue).client.exists(claim), 60, "the key is free")
    accepted(idle.post("/v1/jobs", content=SIGN, headers=headers))


def test_of_many_at_once_one_makes_the_job(idle: httpx.Client) -> None:
    def send(_: int) -> httpx.Response:
        return idle.post("/v1/jobs", json={"image": ELSEWHERE}, headers={"idempotency-key": "order-4"})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(48)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len(jobs_of(idle)) == 1
    assert {answer.json()["id"] for answer in answers if answer.status_code == 202} == set(jobs_of(idle))


def test_a_request_that_was_killed_after_its_job_was_queued(idle: httpx.Client, settings: WorkerSettings) -> None:
    headers = {"idempotency-key": "order-5"}
    job_id = accepted(idle.post("/v1/jobs", json={"image": ELSEWHERE}, headers=headers))
    with OcrQueue(settings) as queue:
        registry_of(queue).client.delete(registry_of(queue).keys.claim("", "job", "order-5"))
    assert accepted(idle.post("/v1/jobs", json={"image": ELSEWHERE}, headers=headers)) == job_id
