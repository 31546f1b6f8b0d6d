"""Jobs by HTTP: submitted with a reference, asked for, listed, cancelled and deleted."""

from __future__ import annotations

import json

import httpx
import pytest
from pydantic import SecretStr

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings
from ocrqueue.settings.per_engine import PerEngine
from tests.integration.conftest import Installation
from tests.support.gateway_jobs import ended, problem_of, submitted
from tests.support.gateways import gateway_of
from tests.support.processes import free_port, wait_until

pytest_plugins = ["tests.support.server_fixtures"]

ELSEWHERE = "https://example.org/scan.png"


def test_a_reference_is_read(http: httpx.Client, sign: str) -> None:
    job_id = submitted(http, image=sign, engine="null", tag="signs")
    told = ended(http, job_id)
    assert (told["state"], told["tag"], told["pages"]) == ("succeeded", "signs", 1)
    assert told["links"]["result"] == f"/v1/jobs/{job_id}/result"
    result = http.get(told["links"]["result"])
    assert result.headers["content-type"] == "application/json"
    assert result.json()["job_id"] == job_id


def test_fields_may_be_query_parameters(idle: httpx.Client, settings: WorkerSettings) -> None:
    given = {
        "engine": "null",
        "languages": "eng+kor",
        "outputs": "text,pdf",
        "cache": "false",
        "options": '{"words": 3}',
    }
    answer = idle.post("/v1/jobs", params=given, json={"image": ELSEWHERE, "tag": "t"})
    assert answer.status_code == 202, answer.text
    with OcrQueue(settings) as queue:
        (job,) = registry_of(queue).jobs([answer.json()["id"]])
    assert job is not None
    assert (job.engine, job.languages, job.outputs, job.cache) == ("null", ("eng", "kor"), ("text", "pdf"), False)
    assert (job.options, job.tag) == ({"words": 3}, "t")


def test_the_settings_say_which_engine_reads_what_names_none(idle: httpx.Client) -> None:
    answer = idle.post("/v1/jobs", json={"image": ELSEWHERE})
    assert answer.json()["engine"] == "tesseract"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"image": ELSEWHERE, "engine": "nobody"}, "engine.unknown"),
        ({"image": ELSEWHERE, "engine": "No Body"}, "job.malformed"),
        ({"image": ELSEWHERE, "dpi": 1}, "job.malformed"),
        ({"image": ELSEWHERE, "id": "mine"}, "job.malformed"),
        ({"image": ELSEWHERE, "tenant": "others"}, "job.malformed"),
        ({"image": ELSEWHERE, "reply_to": "celery"}, "job.malformed"),
        ({"image": ELSEWHERE, "languages": ["eng", "eng"]}, "job.malformed"),
        ({"image": "/etc/passwd"}, "job.malformed"),
        ({"image": "scan.png"}, "job.malformed"),
        ({"image": ""}, "job.malformed"),
        ({}, "job.malformed"),
    ],
)
def test_what_no_job_can_be_is_refused(idle: httpx.Client, fields: dict[str, object], code: str) -> None:
    problem_of(idle.post("/v1/jobs", json=fields), 422, code)


def test_a_field_that_is_misspelt_is_told_with_the_nearest(idle: httpx.Client) -> None:
    asked = {"image": ELSEWHERE}
    form = {"files": {"file": ("sign.jpg", b"image")}, "data": {"langages": "eng"}}
    line = {"content": b'{"custom_id": "a", "image": "https://example.org/a.png", "langages": ["eng"]}'}
    for answer in (
        idle.post("/v1/jobs", **form),  # type: ignore[arg-type]  # of two kinds
        idle.post("/v1/jobs", params={"langages": "eng"}, json=asked),
        idle.post("/v1/jobs", json={**asked, "langages": ["eng"]}),
    ):
        detail = problem_of(answer, 422, "job.malformed")["detail"]
        assert "langages is not known (did you mean languages?)" in detail
    batch = idle.post("/v1/batches", headers={"content-type": "application/x-ndjson"}, **line)  # type: ignore[arg-type]  # the same
    assert "did you mean languages?" in batch.text
    # nor is one named that a caller cannot set
    assert "did you mean tenant" not in idle.post("/v1/jobs", json={**asked, "tenannt": "x"}).text


def test_a_password_is_shown_nowhere(idle: httpx.Client) -> None:
    given = {"image": ELSEWHERE, "password": "s3cret-word", "engine": "nobody"}
    assert "s3cret-word" not in idle.post("/v1/jobs", json=given).text
    del given["engine"]
    answer = idle.post("/v1/jobs", json=given)
    assert "s3cret-word" not in answer.text + idle.get(answer.headers["location"]).text
    bad = idle.post("/v1/jobs", json={"image": ELSEWHERE, "password": ["s3cret-word"]})
    assert "s3cret-word" not in bad.text
    in_url = idle.post("/v1/jobs", params={"password": "s3cret-word"}, json={"image": ELSEWHERE})
    assert "s3cret-word" not in str(problem_of(in_url, 422, "job.malformed"))


def test_what_others_have_stored_is_no_image(http: httpx.Client, sign: str, installation: Installation) -> None:
    job_id = submitted(http, image=sign, engine="null")
    ended(http, job_id)
    stored = installation.queue.storage.uri(f"results/{job_id}/result.json")
    problem_of(http.post("/v1/jobs", json={"image": stored}), 422, "source.path_not_allowed")


def test_a_path_is_refused_at_once_and_a_file_elsewhere_by_the_worker(http: httpx.Client) -> None:
    problem_of(http.post("/v1/jobs", json={"image": "/etc/hostname"}), 422, "job.malformed")
    told = ended(http, submitted(http, image="file:///etc/hostname", engine="null"))
    assert (told["state"], told["error"]["code"]) == ("failed", "source.path_not_allowed")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"image": 1e999}'])
def test_a_body_that_is_no_job(idle: httpx.Client, body: bytes) -> None:
    answer = idle.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["code"] in ("request.invalid", "job.malformed")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/json2"])
def test_other_media_types_are_refused(idle: httpx.Client, kind: str) -> None:
    answer = idle.post("/v1/jobs", content=b"x", headers={"content-type": kind})
    problem_of(answer, 415, "request.media_type")


def test_a_job_that_nobody_knows(http: httpx.Client) -> None:
    problem_of(http.get("/v1/jobs/nobody-knows-it"), 404, "job.unknown")
    problem_of(http.get("/v1/jobs/nobody-knows-it/result"), 404, "job.unknown")
    problem_of(http.delete("/v1/jobs/nobody-knows-it"), 404, "job.unknown")
    problem_of(http.get("/v1/jobs/..%2Fx"), 404, "request.not_found")
    problem_of(http.get("/v1/jobs/a b"), 422, "request.invalid")


def test_there_is_no_such_route(http: httpx.Client) -> None:
    problem_of(http.get("/v1/jobsx"), 404, "request.not_found")
    answer = http.put("/v1/jobs")
    problem_of(answer, 405, "request.method_not_allowed")
    assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "POST"}


def test_a_waiting_job_tells_its_place_and_is_cancelled(idle: httpx.Client) -> None:
    jobs = [submitted(idle, image=ELSEWHERE, engine="null") for _ in range(3)]
    assert [idle.get(f"/v1/jobs/{job_id}").json()["place"]["ahead"] for job_id in jobs] == [0, 1, 2]
    problem_of(idle.get(f"/v1/jobs/{jobs[0]}/result"), 409, "job.not_finished")
    answer = idle.delete(f"/v1/jobs/{jobs[0]}")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    problem_of(idle.get(f"/v1/jobs/{jobs[0]}/result"), 409, "job.cancelled")
    problem_of(idle.get(f"/v1/jobs/{jobs[0]}/pages"), 409, "job.cancelled")
    assert [idle.get(f"/v1/jobs/{job_id}").json()["place"]["ahead"] for job_id in jobs[1:]] == [0, 1]


def test_a_job_is_deleted_with_all_of_it(http: httpx.Client, installation: Installation, sign: str) -> None:
    job_id = submitted(http, image=sign, engine="null")
    ended(http, job_id)
    assert list(installation.queue.storage.list(f"results/{job_id}"))
    assert http.delete(f"/v1/jobs/{job_id}", params={"purge": "true"}).status_code == 204
    assert list(installation.queue.storage.list(f"results/{job_id}")) == []
    problem_of(http.get(f"/v1/jobs/{job_id}"), 410, "job.deleted")
    problem_of(http.delete(f"/v1/jobs/{job_id}", params={"purge": "true"}), 410, "job.deleted")
    problem_of(http.get(f"/v1/jobs/{job_id}/result"), 410, "job.deleted")


def test_a_failed_job_has_its_own_error_as_a_problem(http: httpx.Client, installation: Installation) -> None:
    path = installation.file_root / "empty.png"
    path.write_bytes(b"")
    job_id = submitted(http, image=path.as_uri(), engine="null")
    assert ended(http, job_id)["error"]["code"] == "image.empty"
    problem_of(http.get(f"/v1/jobs/{job_id}/result"), 422, "image.empty")
    problem_of(http.get(f"/v1/jobs/{job_id}/pages/1"), 422, "image.empty")


def test_jobs_are_listed_by_tag_and_state_a_page_at_a_time(idle: httpx.Client) -> None:
    jobs = [submitted(idle, image=ELSEWHERE, engine="null", tag="listed") for _ in range(5)]
    submitted(idle, image=ELSEWHERE, engine="null", tag="other")
    idle.delete(f"/v1/jobs/{jobs[0]}")
    first = idle.get("/v1/jobs", params={"tag": "listed", "limit": 3}).json()
    second = idle.get("/v1/jobs", params={"tag": "listed", "limit": 3, "cursor": first["next"]}).json()
    assert {job["id"] for job in [*first["jobs"], *second["jobs"]]} == set(jobs)
    assert second["next"] is None
    cancelled = idle.get("/v1/jobs", params={"state": "cancelled"}).json()["jobs"]
    assert [job["id"] for job in cancelled] == [jobs[0]]
    both = idle.get("/v1/jobs", params=[("state", "queued"), ("state", "cancelled"), ("tag", "listed")]).json()["jobs"]
    assert len(both) == 5
    assert idle.get("/v1/jobs", params={"since": "2100-01-01T00:00:00Z"}).json()["jobs"] == []
    assert len(idle.get("/v1/jobs").json()["jobs"]) == 6


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "state=done", "since=yesterday", "cursor=%00", "tag=", "batch=a%2Fb", "cursor=abc"],
)
def test_a_list_that_cannot_be(idle: httpx.Client, query: str) -> None:
    answer = idle.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] in ("request.invalid", "filter.invalid", "cursor.invalid")


def test_a_full_queue_says_when_to_come_back(settings: WorkerSettings) -> None:
    full = settings.model_copy(update={"max_queue_length": PerEngine(1)})
    with gateway_of(full) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        submitted(http, image=ELSEWHERE, engine="null")
        answer = http.post("/v1/jobs", json={"image": ELSEWHERE, "engine": "null"})
        problem = problem_of(answer, 503, "queue.full")
        assert problem["retryable"]
        assert answer.headers["retry-after"] == str(problem["details"]["retry_after_s"])


def test_without_redis_there_is_a_503(settings: WorkerSettings) -> None:
    gone = settings.model_copy(update={"redis_url": SecretStr(f"redis://:hidden@127.0.0.1:{free_port()}/0")})
    with gateway_of(gone) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        for answer in (http.get("/v1/jobs/a"), http.post("/v1/jobs", json={"image": ELSEWHERE, "engine": "null"})):
            assert "hidden" not in json.dumps(problem_of(answer, 503, "broker.unavailable"))
            assert int(answer.headers["retry-after"]) >= 1


def test_the_retry_comes_with_the_pace_of_the_queue(idle: httpx.Client, settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        now = int(registry_of(queue).client.time()[0]) // 10  # type: ignore[index]  # redis-py's type is for both clients
        registry_of(queue).client.hset(registry_of(queue).keys.ended("null"), mapping={str(now - 5): 6})
    for _ in range(30):
        submitted(idle, image=ELSEWHERE, engine="null")
    waits: list[int] = []

    def is_told() -> bool:
        answer = idle.post("/v1/jobs", json={"image": ELSEWHERE, "engine": "null"})
        waits.append(int(answer.headers["retry-after"]))
        return waits[-1] > 100

    wait_until(is_told, 60, "the estimate is that of the queue")
