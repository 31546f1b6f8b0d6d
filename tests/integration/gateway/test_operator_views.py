"""What an operator's page asks of the gateway: a job's history, one replay, jobs by name, tenants, charts, events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import EngineOffer, Outcome, WorkerInfo, WorkerRegistry
from ocrqueue.core.records import Trouble
from ocrqueue.core.tenants import set_weights
from ocrqueue.errors import EngineFailed, LanguageMissing
from ocrqueue.settings import WorkerSettings
from ocrqueue.webhooks.endpoints import set_endpoint
from tests.integration.gateway.conftest import patient
from tests.integration.gateway.test_operating import done
from tests.support.gateways import gateway_of
from tests.support.moves import LANES, begun, job, submit, succeeded


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """Under which a worker of these tests stays live, though it beats but once: a busy machine asks late."""
    return settings.model_copy(update={"worker_heartbeat_s": 600.0, "lost_after_s": 3600.0})


@pytest.fixture
def guarded(settings: WorkerSettings) -> Iterator[httpx.Client]:
    """Speaks to a gateway that asks for keys, of an installation without workers; it has none yet."""
    with (
        gateway_of(patient(settings), host="0.0.0.0") as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def failed(registry: WorkerRegistry, **fields: object) -> str:
    """The id of a job that failed, and may be replayed."""
    given = job(**fields)
    submit(registry, given)
    outcome = Outcome(job_id=given.id, state="failed", error=EngineFailed("It broke.").info)
    registry.finish(begun(registry), given, outcome)
    return given.id


def announce(registry: WorkerRegistry, holder: str, name: str = "worker@host") -> None:
    """A live worker."""
    offer = EngineOffer(name="null", version="1", model="none", languages=("eng",))
    seconds, _ = registry.client.time()
    trouble = Trouble(what="languages of null", error=LanguageMissing("No pack for fra.").info, since=0, engine="null")  # type: ignore[arg-type]  # pydantic reads a number as a time
    info = WorkerInfo(
        name=name,
        holder=holder,
        queues=LANES,
        engines=(offer,),
        concurrency=2,
        pid=1,
        started_at=seconds,
        running=1,
        memory_bytes=123_456_789,
        troubles=(trouble.model_copy(update={"stops": False}),),
    )
    registry.heartbeat(holder, info.model_dump_json(), [])


def key_for(settings: WorkerSettings, *, tenant: str = "", scopes: tuple[str, ...]) -> str:
    with OcrQueue(settings) as queue:
        return f"Bearer {queue.api_keys.create(tenant=tenant, scopes=scopes).text}"


def test_a_jobs_history(idle: httpx.Client, registry: WorkerRegistry) -> None:
    set_endpoint(registry, "acme", "https://hooks.example.org/ended?token=secret")
    job_id = failed(registry, tenant="acme", tag="bills")
    told = idle.get(f"/v1/jobs/{job_id}/history").json()
    assert (told["job"]["state"], told["queue"], told["worker"]) == ("failed", "ocr.null", "worker@host")
    [attempt] = told["attempts"]
    assert (attempt["became"], attempt["number"], attempt["worker"], attempt["engine"]) == (
        "failed",
        1,
        "worker@host",
        "null",
    )
    assert attempt["error"]["code"] == "engine.failed"
    assert attempt["error"]["remedy"]
    [delivery] = told["deliveries"]
    assert (delivery["url"], delivery["state"], delivery["attempts"]) == (
        "https://hooks.example.org/ended?...",
        "pending",
        0,
    )
    assert told["ends"] == []
    assert idle.post(f"/v1/jobs/{job_id}/replay").json()["state"] == "queued"
    told = idle.get(f"/v1/jobs/{job_id}/history").json()
    assert [each["became"] for each in told["attempts"]] == ["replayed"]
    assert [(each["state"], each["error"]["code"]) for each in told["ends"]] == [("failed", "engine.failed")]
    assert told["job"]["place"]["ahead"] == 0


def test_what_has_not_failed_is_not_replayed(idle: httpx.Client, registry: WorkerRegistry) -> None:
    [waits] = submit(registry, job())
    refused = idle.post(f"/v1/jobs/{waits}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "job.not_failed")
    assert idle.post("/v1/jobs/nonesuch/replay").status_code == 404
    assert idle.get("/v1/jobs/nonesuch/history").status_code == 404


def test_a_tenant_hears_nothing_of_workers(
    guarded: httpx.Client, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    mine, others = failed(registry, tenant="acme"), failed(registry, tenant="other")
    guarded.headers["authorization"] = key_for(settings, tenant="acme", scopes=("read", "cancel"))
    told = guarded.get(f"/v1/jobs/{mine}/history").json()
    assert (told["worker"], told["attempts"][0]["worker"]) == (None, None)
    for refused in (guarded.get(f"/v1/jobs/{others}/history"), guarded.post(f"/v1/jobs/{others}/replay")):
        assert refused.status_code in (403, 404)
    # to read it again takes the scope of a submission
    assert guarded.post(f"/v1/jobs/{mine}/replay").json()["code"] == "key.forbidden"
    for path in ("tenants", "counts", "overview", "overview/events", "workers"):
        assert guarded.get(f"/v1/{path}").status_code == 403
    asked = done(guarded, action="cancel", filter={"ids": [others]})
    assert (asked["matched"], asked["jobs"]) == (0, 0)


def test_an_action_on_named_jobs(idle: httpx.Client, registry: WorkerRegistry) -> None:
    ids = submit(registry, *(job(tag="a" if number % 2 else "b") for number in range(6)))
    counted = done(idle, action="cancel", filter={"ids": ids[:4]}, dry_run=True)
    assert (counted["matched"], counted["jobs"]) == (4, 0)
    of_both = done(idle, action="cancel", filter={"ids": [*ids[:4], "nonesuch"], "tag": "a"})
    assert (of_both["matched"], of_both["jobs"], of_both["state"]) == (2, 2, "done")
    states = [registry.status(each).state for each in ids]
    assert states == ["queued", "cancelled", "queued", "cancelled", "queued", "queued"]
    assert done(idle, action="delete", filter={"ids": ids[:3]})["jobs"] == 3
    dead = [failed(registry, engine="null", priority="high") for _ in range(2)]
    assert done(idle, action="replay", filter={"ids": [*dead, ids[4]]})["jobs"] == 2
    noted = idle.get("/v1/audit?limit=1").json()[0]
    assert (noted["action"], noted["filter"], noted["jobs"]) == ("replay", {"ids": 3}, 2)
    for wrong in ([], ["a/b"], [str(number) for number in range(1001)]):
        assert idle.post("/v1/actions", json={"action": "cancel", "filter": {"ids": wrong}}).status_code == 422


def test_jobs_by_the_code_of_their_error(idle: httpx.Client, registry: WorkerRegistry) -> None:
    job_id = failed(registry)
    submit(registry, job())
    found = idle.get("/v1/jobs", params={"code": "engine.failed"}).json()["jobs"]
    assert [each["id"] for each in found] == [job_id]
    assert idle.get("/v1/jobs", params={"code": "image.empty"}).json()["jobs"] == []


def test_jobs_by_their_ids(guarded: httpx.Client, registry: WorkerRegistry, settings: WorkerSettings) -> None:
    mine, others = submit(registry, job(tenant="acme"), job(tenant="other"))
    asked = {"id": [others, "nonesuch", mine], "state": "failed"}
    found = [
        [each["id"] for each in guarded.get("/v1/jobs", params=asked, headers={"authorization": key}).json()["jobs"]]
        for key in (key_for(settings, scopes=("read", "admin")), key_for(settings, tenant="acme", scopes=("read",)))
    ]
    assert found == [[others, mine], [mine]]
    key = key_for(settings, scopes=("read",))
    assert guarded.get("/v1/jobs", params={"id": "a/b"}, headers={"authorization": key}).status_code == 422


def test_workers_and_what_they_read(idle: httpx.Client, registry: WorkerRegistry) -> None:
    announce(registry, "holder-1")
    [job_id] = submit(registry, job(tenant="acme"))
    registry.progress(begun(registry, "holder-1"), 1, 3)
    [worker] = idle.get("/v1/workers").json()
    assert (worker["concurrency"], worker["memory_bytes"], worker["doing"]) == (2, 123_456_789, "working")
    [reading] = worker["reading"]
    assert (reading["job"], reading["engine"], reading["tenant"]) == (job_id, "null", "acme")
    assert (reading["pages_done"], reading["pages"], reading["attempt"]) == (1, 3, 1)


def test_tenants_and_their_shares(idle: httpx.Client, registry: WorkerRegistry) -> None:
    set_weights(registry, {"acme": 3, "gone": 2})
    submit(registry, *(job(tenant=tenant) for tenant in ("acme", "acme", "", "sleepy")))
    idle.post("/v1/tenants/sleepy/pause")
    found = {each["name"]: each for each in idle.get("/v1/tenants").json()}
    shares = {name: (each["weight"], each["share"], sum(each["waiting"].values())) for name, each in found.items()}
    assert shares == {"acme": (3, 0.75, 2), "": (1, 0.25, 1), "sleepy": (1, None, 1), "gone": (2, None, 0)}
    assert found["sleepy"]["paused"]


def test_counts_of_the_last_hours(idle: httpx.Client, registry: WorkerRegistry) -> None:
    failed(registry)
    given = job()
    submit(registry, given)
    hold = begun(registry)
    registry.finish(hold, given, succeeded(hold))
    told = idle.get("/v1/counts", params={"minutes": 60, "step": 5}).json()
    assert told["period_s"] == 300
    [counts] = told["engines"]
    assert (counts["engine"], sum(counts["ended"]), sum(counts["failed"]), sum(counts["pages"])) == ("null", 2, 1, 1)
    assert len(counts["ended"]) in (12, 13)
    for wrong in ({"minutes": 1441}, {"minutes": 5, "step": 6}, {"step": 0}):
        assert idle.get("/v1/counts", params=wrong).status_code == 422


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield name, json.loads(line.removeprefix("data:"))


def test_the_overview_is_told_live(idle: httpx.Client, registry: WorkerRegistry) -> None:
    assert idle.get("/v1/overview").json()["workers"] == []
    with idle.stream("GET", "/v1/overview/events") as stream:
        found = events(stream.iter_lines())
        name, first = next(found)
        assert name == "overview"
        assert first["counts"]["failed"] == 0
        assert {each["engine"] for each in first["queues"]} >= {"null", "tesseract"}
        failed(registry)
        while first["counts"]["failed"] == 0:
            name, first = next(found)
        assert first["counts"]["dead"] == 1


def test_a_key_that_is_revoked_ends_its_stream(
    guarded: httpx.Client, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    guarded.headers["authorization"] = key_for(settings, scopes=("admin",))
    with guarded.stream("GET", "/v1/overview/events") as stream, OcrQueue(settings) as queue:
        found = events(stream.iter_lines())
        assert next(found)[0] == "overview"
        [key] = queue.api_keys.list()
        queue.api_keys.revoke(key.id)
        told = list(found)
    assert told[-1][0] == "error"
    assert told[-1][1]["code"] == "key.invalid"


def test_a_key_that_is_revoked_ends_the_stream_of_a_job_that_waits(
    guarded: httpx.Client, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    given = job(engine="nobody")
    submit(registry, given)
    guarded.headers["authorization"] = key_for(settings, scopes=("read", "admin"))
    with guarded.stream("GET", f"/v1/jobs/{given.id}/events") as stream, OcrQueue(settings) as queue:
        found = events(stream.iter_lines())
        assert next(found)[0] == "state"
        [key] = queue.api_keys.list()
        queue.api_keys.revoke(key.id)
        told = list(found)
    assert told[-1][0] == "error"
    assert told[-1][1]["code"] == "key.invalid"
