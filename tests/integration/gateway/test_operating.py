"""What operators ask by HTTP: who works, what waits, what failed; pauses, and actions on many jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ocrqueue import OcrQueue
from tests.integration.conftest import Installation
from tests.support.gateways import gateway_of
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]

NOBODY_READS = {"image": "https://images.invalid/page.png", "engine": "vision"}


@pytest.fixture
def waiting(queue: OcrQueue) -> Iterator[list[str]]:
    """Jobs of the tag `waiting` that no worker takes, two of them of the tenant `acme`."""
    of_nobody = [queue.submit(**NOBODY_READS, tag="waiting").id for _ in range(3)]
    of_acme = [queue.submit(**NOBODY_READS, tag="waiting", tenant="acme").id for _ in range(2)]
    yield of_nobody + of_acme
    queue.delete_many(tag="waiting")


def done(http: httpx.Client, **asked: object) -> dict[str, Any]:
    """An action that was asked for, once it has ended."""
    answer = http.post("/v1/actions", json=asked)
    assert answer.status_code == 202, answer.text
    at = answer.headers["location"]
    assert at == f"/v1/actions/{answer.json()['id']}"
    wait_until(lambda: http.get(at).json()["state"] not in ("queued", "running"), 60, "the action has ended")
    told: dict[str, Any] = http.get(at).json()
    return told


def test_engines_queues_and_workers(http: httpx.Client, waiting: list[str]) -> None:
    engines = {each["name"]: each for each in http.get("/v1/engines").json()}
    assert engines["tesseract"]["takes_jobs"]
    assert "eng" in engines["tesseract"]["languages"]
    assert (engines["vision"]["takes_jobs"], engines["vision"]["workers"]) == (False, 0)
    assert engines["vision"]["waiting"]["normal"] == 5
    lanes = {each["name"]: each for each in http.get("/v1/queues").json()}
    assert (lanes["ocr.vision"]["waiting"], lanes["ocr.vision"]["own"]) == (5, 3)
    assert lanes["ocr.vision"]["tenants"] == {"": 3, "acme": 2}
    assert lanes["ocr.vision"]["oldest_job"] == waiting[0]
    [worker] = http.get("/v1/workers").json()
    assert set(worker["engines"]) == {"null", "tesseract"}
    assert worker["doing"] in ("idle", "working")


@pytest.mark.parametrize(
    ("at", "kind", "name"),
    [
        ("queues/null", "engine", "null"),
        ("queues/ocr.null.low", "lane", "ocr.null.low"),
        ("tenants/sleepy", "tenant", "sleepy"),
        ("tenants/-", "tenant", ""),
    ],
)
def test_what_is_paused_is_told_and_resumed(http: httpx.Client, queue: OcrQueue, at: str, kind: str, name: str) -> None:
    first = http.post(f"/v1/{at}/pause", json={"reason": "a new model"})
    try:
        assert first.json() == {"kind": kind, "name": name, "paused": True, "changed": True}
        assert not http.post(f"/v1/{at}/pause").json()["changed"]
        [paused] = http.get("/v1/pauses").json()
        assert (paused["kind"], paused["name"], paused["reason"]) == (kind, name, "a new model")
    finally:
        resumed = http.post(f"/v1/{at}/resume").json()
    assert resumed == {"kind": kind, "name": name, "paused": False, "changed": True}
    assert http.get("/v1/pauses").json() == []
    noted = [(line["action"], line["who"]) for line in http.get("/v1/audit?limit=3").json()]
    assert noted == [("resume", "gateway"), ("pause", "gateway"), ("pause", "gateway")]


def test_what_cannot_be_paused_is_a_problem(http: httpx.Client) -> None:
    unknown = http.post("/v1/queues/nonesuch/pause")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "engine.unknown")
    assert http.post("/v1/queues/a%20b/pause").status_code == 422
    assert http.post("/v1/queues/null/pause", json={"why": "x"}).status_code == 422


def test_dead_letters_by_code_and_by_page(http: httpx.Client, queue: OcrQueue) -> None:
    jobs = [queue.submit("https://nobody.invalid/page.png", engine="null", tag="dead", tenant=t) for t in ("", "acme")]
    for job in jobs:
        assert job.wait(60).state == "failed"
    told = http.get("/v1/dead").json()
    assert {each["id"] for each in told["jobs"]} >= {job.id for job in jobs}
    [code] = {each["error"]["code"] for each in told["jobs"] if each["tag"] == "dead"}
    assert told["by_code"][code] >= 2
    first = http.get("/v1/dead", params={"limit": 1, "code": code}).json()
    assert len(first["jobs"]) == 1
    second = http.get("/v1/dead", params={"limit": 1, "code": code, "cursor": first["next"]}).json()
    assert second["jobs"][0]["id"] != first["jobs"][0]["id"]
    assert http.get("/v1/dead", params={"code": "engine.timeout"}).json() == {"jobs": [], "next": None, "by_code": {}}
    assert http.get("/v1/dead", params={"cursor": "nonsense"}).json()["code"] == "cursor.invalid"
    assert done(http, action="replay", filter={"tag": "dead", "code": code})["jobs"] == 2
    assert done(http, action="delete", filter={"tag": "dead"})["jobs"] == 2


def test_an_action_on_many_jobs(http: httpx.Client, queue: OcrQueue, waiting: list[str]) -> None:
    counted = done(http, action="cancel", filter={"tag": "waiting"}, dry_run=True)
    assert (counted["state"], counted["matched"], counted["jobs"]) == ("done", 5, 0)
    of_acme = done(http, action="cancel", filter={"tag": "waiting", "tenant": "acme"})
    assert (of_acme["matched"], of_acme["jobs"]) == (2, 2)
    of_nobody = done(http, action="delete", filter={"tag": "waiting", "tenant": "-", "state": ["queued", "running"]})
    assert (of_nobody["state"], of_nobody["jobs"]) == ("done", 3)
    assert [status and status.state for status in queue.statuses(waiting)] == [None] * 3 + ["cancelled"] * 2
    lines = http.get("/v1/audit?limit=2").json()
    assert [(line["action"], line["jobs"], line["ended"], line["who"]) for line in lines] == [
        ("delete", 3, "done", "gateway"),
        ("cancel", 2, "done", "gateway"),
    ]


def test_an_action_that_cannot_be_is_a_problem(http: httpx.Client) -> None:
    for asked, code in (
        ({"action": "cancel"}, "filter.missing"),
        ({"action": "cancel", "filter": {"batch": "a b/c"}}, "filter.invalid"),
        ({"action": "drop", "filter": {"tag": "x"}}, "request.invalid"),
        ({"action": "cancel", "filter": {"colour": "red"}}, "request.invalid"),
    ):
        answer = http.post("/v1/actions", json=asked)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    unknown = http.get("/v1/actions/1795984044436117-72fe132d")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "action.unknown")


def test_a_tenants_key_acts_on_its_own_jobs_alone(http: httpx.Client, queue: OcrQueue, waiting: list[str]) -> None:
    http.headers["authorization"] = f"Bearer {queue.api_keys.create(tenant='acme', scopes=['read', 'cancel']).text}"
    lanes = {each["name"]: each for each in http.get("/v1/queues").json()}
    assert (lanes["ocr.vision"]["own"], lanes["ocr.vision"]["tenants"]) == (2, None)
    assert http.get("/v1/workers").status_code == 403
    others = http.post("/v1/actions", json={"action": "cancel", "filter": {"tag": "waiting", "tenant": "-"}})
    assert (others.status_code, others.json()["code"]) == (422, "filter.invalid")
    replay = http.post("/v1/actions", json={"action": "replay", "filter": {"tag": "waiting"}})
    assert (replay.status_code, replay.json()["code"]) == (403, "key.forbidden")
    assert http.post("/v1/actions", json={"action": "cancel"}).json()["code"] == "filter.missing"
    mine = done(http, action="cancel", filter={"tag": "waiting"})
    assert (mine["matched"], mine["jobs"], mine["filter"]) == (2, 2, {"tag": "waiting", "tenant": "acme"})
    assert [status and status.state for status in queue.statuses(waiting)] == ["queued"] * 3 + ["cancelled"] * 2
    [line] = queue.audit(1)
    assert line.who.startswith("key:")
    asked = queue.actions.ask("cancel", tag="waiting", dry_run=True)
    assert http.get(f"/v1/actions/{asked.id}").status_code == 404


def test_another_replica_goes_on_with_an_action_of_one_that_ends(installation: Installation, queue: OcrQueue) -> None:
    jobs = [queue.submit(**NOBODY_READS, tag="left").id for _ in range(400)]
    with httpx.Client(timeout=60, trust_env=False) as http, gateway_of(installation.settings) as other:
        with gateway_of(installation.settings) as ending:
            at = http.post(f"{ending}/v1/actions", json={"action": "delete", "filter": {"tag": "left"}})
        at = at.headers["location"]
        wait_until(lambda: http.get(f"{other}{at}").json()["state"] == "done", 60, "the other has done the rest")
        told = http.get(f"{other}{at}").json()
    assert (told["jobs"], told["matched"]) == (400, 400)
    assert not any(queue.statuses(jobs))
    assert [line.jobs for line in queue.audit(1)] == [400]


def test_a_replica_is_ready_where_redis_and_storage_answer(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "redis": "ok", "storage": "ok"})


def test_a_replica_without_storage_is_there_and_not_ready(installation: Installation) -> None:
    gone = installation.settings.model_copy(update={"storage": "s3://no-such-bucket-here"})
    with gateway_of(gone) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["redis"]) == (503, "ok")
        assert ready.json()["storage"] == "does not answer"
        assert http.get("/healthz").status_code == 200


def test_requests_are_counted_by_route_and_not_by_path(installation: Installation) -> None:
    with gateway_of(installation.settings) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        for number in range(3):
            http.get(f"/v1/jobs/nobody-{number}")
            http.get(f"/nowhere/{number}")
        answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    counted = {
        tuple(sample.labels.values()): sample.value
        for sample in families["ocrqueue_gateway_requests"].samples
        if sample.name.endswith("_total")
    }
    assert counted == {("GET", "/v1/jobs/{job_id}", "404"): 3, ("GET", "other", "404"): 3}
    seconds = [each for each in families["ocrqueue_gateway_request_seconds"].samples if each.name.endswith("_count")]
    assert [each.value for each in seconds] == [3, 3]
    assert families["ocrqueue_gateway_requests_in_flight"].samples[0].value == 1
