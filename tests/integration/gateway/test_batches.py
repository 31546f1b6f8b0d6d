"""Batches by HTTP: lines that are jobs, lines that are none, their counts, results and end."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ocrqueue.settings import WorkerSettings
from ocrqueue.settings.per_engine import PerEngine
from tests.support.gateway_jobs import problem_of
from tests.support.gateways import gateway_of

pytest_plugins = ["tests.support.server_fixtures"]

ELSEWHERE = "https://example.org/scan.png"
HEADERS = {"content-type": "application/x-ndjson"}


def lines_of(*lines: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def sent(http: httpx.Client, content: bytes, **headers: str) -> dict[str, Any]:
    answer = http.post("/v1/batches", content=content, headers={**HEADERS, **headers})
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    assert answer.headers["location"] == told["batch"]["links"]["self"]
    return told


def line(custom_id: str, **fields: object) -> dict[str, object]:
    return {"custom_id": custom_id, "image": ELSEWHERE, "engine": "null", **fields}


def test_a_batch_is_read_and_its_results_are_lines(http: httpx.Client, sign: str) -> None:
    names = [f"scan {number}" for number in range(12)]
    told = sent(http, lines_of(*(line(name, image=sign, crops="none", cache=False) for name in names)))
    assert (told["accepted"], told["rejected"], told["errors"]) == (12, 0, [])
    batch = http.get(told["batch"]["links"]["self"], params={"wait": 60}).json()
    assert (batch["jobs"], batch["ended"], batch["counts"]["succeeded"]) == (12, 12, 12)
    assert batch["ended_at"] is not None
    answer = http.get(batch["links"]["results"])
    assert answer.headers["content-type"] == "application/x-ndjson"
    results = [json.loads(text) for text in answer.text.splitlines()]
    assert [result["custom_id"] for result in results] == names
    assert all(result["document"]["job_id"] == result["id"] for result in results)
    texts = http.get(batch["links"]["results"], params={"include": "text"}).text.splitlines()
    assert all("text" in json.loads(text) and "document" not in json.loads(text) for text in texts)
    assert len(http.get("/v1/jobs", params={"batch": batch["id"]}).json()["jobs"]) == 12


def test_a_line_that_is_wrong_is_told_of_and_the_others_go_on(idle: httpx.Client) -> None:
    bad: list[tuple[object, str]] = [
        (line("b", engine="nobody"), "engine.unknown"),
        ({"image": ELSEWHERE}, "job.malformed"),
        (line("c", dpi=1), "job.malformed"),
        (line("a"), "request.invalid"),
        (line("d", batch="mine", name="x", id="mine"), "job.malformed"),
        (line("e", image="/etc/passwd"), "job.malformed"),
        (line("f", engine="nobody"), "engine.unknown"),
        ("no object", "job.malformed"),
    ]
    content = lines_of(line("a"), *(each for each, _ in bad), line("z")) + b"\n{broken\n" + b"\xff\n"
    told = sent(idle, content)
    assert (told["accepted"], told["rejected"]) == (2, len(bad) + 2)
    codes = {error["line"]: error["code"] for error in told["errors"]}
    assert codes == {
        **{number: code for number, (_, code) in enumerate(bad, 2)},
        len(bad) + 4: "request.invalid",
        len(bad) + 5: "request.invalid",
    }
    assert told["batch"]["closed_at"] is not None
    results = idle.get(told["batch"]["links"]["results"]).text.splitlines()
    assert [json.loads(text)["custom_id"] for text in results] == ["a", "z"]
    assert {json.loads(text)["state"] for text in results} == {"queued"}


def test_a_batch_is_cancelled_as_a_whole(idle: httpx.Client) -> None:
    told = sent(idle, lines_of(*(line(str(number)) for number in range(700))))
    answer = idle.post(f"{told['batch']['links']['self']}/cancel")
    assert answer.status_code == 200, answer.text
    assert answer.json()["cancelled"] == 700
    assert answer.json()["batch"]["counts"]["cancelled"] == 700


@pytest.mark.parametrize("content", [b"", b"\n \n", lines_of(line("a", engine="x")), lines_of([]), b"\0" * 5000])
def test_a_batch_without_jobs_is_none(idle: httpx.Client, content: bytes) -> None:
    answer = idle.post("/v1/batches", content=content, headers=HEADERS)
    assert answer.status_code == 422
    assert answer.json()["code"] in ("image.empty", "request.invalid", "job.malformed")


def test_limits_of_a_batch(settings: WorkerSettings) -> None:
    limits = {"max_batch_jobs": 3, "max_batch_bytes": 10_000, "max_json_bytes": 1024, "max_body_bytes": 1}
    with gateway_of(settings, **limits) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:

        def code(content: bytes, kind: str = HEADERS["content-type"]) -> object:
            return http.post("/v1/batches", content=content, headers={"content-type": kind}).json().get("code")

        assert code(lines_of(*(line(str(number)) for number in range(4)))) == "request.too_large"
        assert code(lines_of(line("a", tag="x" * 2000))) == "request.too_large"
        assert code(b"x" * 20_000) == "request.too_large"
        assert code(lines_of(line("a")), "application/json") == "request.media_type"
        assert http.get("/v1/jobs").json()["jobs"] == []
        assert code(lines_of(*(line(str(number)) for number in range(3)))) is None


def test_what_a_full_queue_does_not_take_is_told(settings: WorkerSettings) -> None:
    full = settings.model_copy(update={"max_queue_length": PerEngine(2)})
    with gateway_of(full) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        told = sent(http, lines_of(*(line(str(number)) for number in range(5))))
        assert (told["accepted"], told["rejected"]) == (2, 3)
        assert {(error["code"], error["retryable"]) for error in told["errors"]} == {("queue.full", True)}


def test_a_batch_that_is_sent_again_is_the_same(idle: httpx.Client) -> None:
    content = lines_of(*(line(str(number)) for number in range(5)))
    first = sent(idle, content, **{"idempotency-key": "night"})
    again = sent(idle, content, **{"idempotency-key": "night"})
    assert first["batch"]["id"] == again["batch"]["id"]
    assert again["accepted"] == 5
    assert len(idle.get("/v1/jobs").json()["jobs"]) == 5
    other = idle.post("/v1/batches", content=content + b"\n", headers={**HEADERS, "idempotency-key": "night"})
    problem_of(other, 422, "request.idempotency_mismatch")


def test_a_batch_that_is_sent_again_tells_what_was_rejected(idle: httpx.Client) -> None:
    """Who has lost the first answer would take a line for queued that is not."""
    content = lines_of(line("a")) + b"no json\n"
    first = sent(idle, content, **{"idempotency-key": "lost-answer"})
    again = sent(idle, content, **{"idempotency-key": "lost-answer"})
    assert (first["accepted"], first["rejected"], first["errors"][0]["line"]) == (1, 1, 2)
    assert {name: first[name] for name in ("accepted", "rejected", "errors")} == {
        name: again[name] for name in ("accepted", "rejected", "errors")
    }


def test_a_batch_that_nobody_knows(idle: httpx.Client) -> None:
    for path in ("", "/results"):
        problem_of(idle.get(f"/v1/batches/nobody{path}"), 404, "batch.unknown")
    problem_of(idle.post("/v1/batches/nobody/cancel"), 404, "batch.unknown")
    problem_of(idle.get("/v1/batches/no body"), 422, "request.invalid")


@pytest.mark.all
def test_fifty_thousand_lines(idle: httpx.Client) -> None:
    told = sent(idle, lines_of(*(line(str(number)) for number in range(50_000))))
    assert (told["accepted"], told["batch"]["jobs"]) == (50_000, 50_000)
    assert sum(1 for _ in idle.get(f"/v1/batches/{told['batch']['id']}/results").iter_lines()) == 50_000
