"""What is paused is not taken, and nothing else is different; what is resumed goes on as if it had not been."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.core import WorkerInfo, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.core.installation import queues
from ocrqueue.core.pauses import PauseKind, pause, pauses, resume
from ocrqueue.core.tenants import set_weights, tenants
from ocrqueue.errors import EngineUnknown, PauseInvalid
from ocrqueue.settings import WorkerSettings
from tests.support.moves import (
    LANE,
    LANES,
    all_parts,
    begun,
    end_lease,
    hold_of,
    job,
    reclaimed,
    submit,
    succeeded,
    take,
)

KINDS: tuple[tuple[PauseKind, str], ...] = (("engine", "null"), ("lane", LANE), ("tenant", "acme"))


def bell(registry: WorkerRegistry, lane: str = LANE) -> bool:
    return bool(registry.client.delete(registry.keys.bell(lane)))


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_what_is_paused_is_not_taken_until_it_is_resumed_and_then_in_order(
    registry: WorkerRegistry, kind: PauseKind, name: str
) -> None:
    before = submit(registry, *(job(tenant="acme") for _ in range(3)))
    assert pause(registry, kind, name)
    meanwhile = submit(registry, *(job(tenant="acme") for _ in range(3)))
    assert not take(registry).parts
    assert not take(registry, 6).parts
    assert check(registry) == []
    assert resume(registry, kind, name)
    assert all_parts(registry) == [*before, *meanwhile]
    assert not pauses(registry)


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_nobody_gets_up_for_what_is_paused_and_somebody_does_when_it_is_resumed(
    registry: WorkerRegistry, kind: PauseKind, name: str
) -> None:
    pause(registry, kind, name)
    submit(registry, job(tenant="acme"))
    assert not bell(registry)
    resume(registry, kind, name)
    assert bell(registry)
    hold = begun(registry)
    bell(registry)
    pause(registry, kind, name)
    assert registry.release(hold, None) == "released"
    assert not bell(registry)
    resume(registry, kind, name)
    assert bell(registry)


def test_an_engine_has_three_lanes_and_a_lane_can_be_paused_by_itself_too(registry: WorkerRegistry) -> None:
    high, normal, low = submit(registry, job(priority="high"), job(), job(priority="low"))
    pause(registry, "lane", "ocr.null.low")
    assert all_parts(registry) == [high, normal]
    more = submit(registry, job(priority="high"), job())
    pause(registry, "engine", "null")
    assert not take(registry).parts
    assert not resume(registry, "lane", LANE)
    assert resume(registry, "engine", "null")
    # what was taken before and not begun has gone back
    assert all_parts(registry) == [high, more[0], normal, more[1]]
    assert resume(registry, "lane", "ocr.null.low")
    assert all_parts(registry) == [low]


def test_other_tenants_go_on_and_the_paused_one_is_nowhere_in_turn(registry: WorkerRegistry) -> None:
    submit(registry, *(job(tenant="acme", priority=lane) for lane in ("high", "normal", "low")))
    others = submit(registry, job(tenant="b"), job(tenant=""), job(tenant="b"))
    pause(registry, "tenant", "acme")
    for lane in LANES:
        assert registry.client.zscore(registry.keys.lane(lane), "acme") is None
    assert sorted(all_parts(registry)) == sorted(others)
    assert check(registry) == []
    resume(registry, "tenant", "acme")
    assert len(all_parts(registry)) == 3


def test_jobs_without_a_tenant_can_be_paused_as_one(registry: WorkerRegistry) -> None:
    submit(registry, job(), named := job(tenant="acme"))
    pause(registry, "tenant", "")
    assert all_parts(registry) == [named.id]
    resume(registry, "tenant", "")
    assert len(all_parts(registry)) == 1


def test_a_worker_that_finds_only_paused_tenants_left_wakes_no_other(registry: WorkerRegistry) -> None:
    pause(registry, "tenant", "acme")
    submit(registry, job(tenant="acme"), job(tenant="b"), job(tenant="b"))
    bell(registry)
    hold_of(registry)
    assert bell(registry)
    hold_of(registry)
    assert not bell(registry)
    resume(registry, "tenant", "acme")
    assert bell(registry)


def test_a_tenant_comes_back_with_the_debt_that_it_left_with(registry: WorkerRegistry) -> None:
    set_weights(registry, {"light": 0.1})
    submit(registry, *(job(tenant="heavy") for _ in range(60)), *(job(tenant="light") for _ in range(10)))

    def whose(turns: int) -> list[str]:
        return [registry.status(hold_of(registry).job_id).tenant for _ in range(turns)]

    while "light" not in whose(1):
        pass
    pause(registry, "tenant", "light")
    resume(registry, "tenant", "light")
    assert 1 <= whose(22).count("light") <= 3


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_what_was_taken_and_not_begun_goes_back_to_its_place_and_what_was_begun_ends(
    registry: WorkerRegistry, kind: PauseKind, name: str
) -> None:
    first = submit(registry, job(tenant="acme"))
    running = begun(registry)
    batch = submit(registry, *(job(tenant="acme") for _ in range(3)))
    taken = take(registry, 3)
    assert [part.hold.part for part in taken.parts] == batch
    assert registry.begin(taken.parts[0].hold, "worker@host", "null").verdict == "run"
    pause(registry, kind, name)
    assert [registry.begin(part.hold, "worker@host", "null").verdict for part in taken.parts] == ["run", "gone", "gone"]
    assert check(registry) == []
    assert registry.finish(running, job(id=first[0]), succeeded(running)) == "succeeded"
    assert registry.finish(taken.parts[0].hold, job(id=batch[0]), succeeded(taken.parts[0].hold)) == "succeeded"
    resume(registry, kind, name)
    assert all_parts(registry) == batch[1:]
    assert registry.status(batch[1]).attempts == 0


def test_pausing_one_tenant_takes_nothing_of_others_back(registry: WorkerRegistry) -> None:
    submit(registry, *(job(tenant=tenant) for tenant in ("acme", "b", "c")))
    taken = {registry.status(part.hold.job_id).tenant: part.hold for part in take(registry, 3).parts}
    pause(registry, "tenant", "b")
    verdicts = {tenant: registry.begin(hold, "worker@host", "null").verdict for tenant, hold in taken.items()}
    assert verdicts == {"acme": "run", "b": "gone", "c": "run"}


def test_more_parts_in_hand_than_one_step_looks_at_all_go_back(registry: WorkerRegistry) -> None:
    submitted = submit(registry, *(job(tenant=tenant) for tenant in ("a", "b") for _ in range(300)))
    for number in range(6):
        assert len(take(registry, 100, f"holder {number}").parts) == 100
    pause(registry, "tenant", "a")
    assert registry.client.zcard(registry.keys.leases()) == 300
    pause(registry, "engine", "null")
    assert registry.client.zcard(registry.keys.leases()) == 0
    resume(registry, "engine", "null")
    resume(registry, "tenant", "a")
    assert sorted(all_parts(registry)) == sorted(submitted)


def test_pages_of_a_split_job_wait_too(registry: WorkerRegistry) -> None:
    (given,) = submit(registry, job(tenant="acme"))
    opening = begun(registry)
    pause(registry, "tenant", "acme")
    assert registry.split(opening, 40, "pin") == "split"
    assert not take(registry).parts
    assert check(registry) == []
    resume(registry, "tenant", "acme")
    pages = take(registry, 4).parts
    assert [part.hold.part for part in pages] == [f"{given}:{page:05}" for page in range(1, 5)]
    pause(registry, "tenant", "acme")
    assert check(registry) == []
    resume(registry, "tenant", "acme")
    assert take(registry).parts[0].hold.part == f"{given}:00001"


def test_what_is_lost_or_has_paused_or_is_replayed_waits_where_it_is_paused(registry: WorkerRegistry) -> None:
    submit(registry, *(job(tenant="acme") for _ in range(2)))
    lost, failed = begun(registry), begun(registry)
    pause(registry, "tenant", "acme")
    end_lease(registry, lost)
    assert reclaimed(registry).requeued == (lost.part,)
    assert registry.release(failed, None, pause_s=0.01) == "released"
    registry.client.zadd(registry.keys.delayed(), {failed.part: 1})
    assert reclaimed(registry).due == 1
    assert not take(registry).parts
    resume(registry, "tenant", "acme")
    assert all_parts(registry) == [lost.part, failed.part]


def test_waiting_jobs_of_what_is_paused_can_be_cancelled(registry: WorkerRegistry) -> None:
    given = submit(registry, *(job(tenant="acme") for _ in range(2)))
    pause(registry, "tenant", "acme")
    for job_id in given:
        assert registry.cancel(job_id) == "cancelled"
    assert check(registry) == []
    resume(registry, "tenant", "acme")
    assert not take(registry).parts


def test_a_pause_is_kept_once_with_its_first_reason_and_can_be_asked_for_again(registry: WorkerRegistry) -> None:
    assert pause(registry, "engine", "null", "the  model\nis wrong")
    assert not pause(registry, "engine", "null", "another")
    (kept,) = pauses(registry)
    assert (kept.kind, kept.name, kept.reason) == ("engine", "null", "the model is wrong")
    assert resume(registry, "engine", "null")
    assert not resume(registry, "engine", "null")


@pytest.mark.parametrize(
    ("kind", "name"), [("lane", "ocr.null.normal"), ("lane", "scans"), ("tenant", "-x"), ("tenant", "a b")]
)
def test_a_name_that_nothing_has_is_refused(registry: WorkerRegistry, kind: PauseKind, name: str) -> None:
    with pytest.raises(PauseInvalid):
        pause(registry, kind, name)
    with pytest.raises(PauseInvalid):
        resume(registry, kind, name)


def test_queues_and_tenants_show_it(registry: WorkerRegistry) -> None:
    submit(registry, job(tenant="acme"), job(tenant="b"))
    pause(registry, "tenant", "acme")
    pause(registry, "lane", "ocr.null.low")
    lanes = {lane.name: lane for lane in queues(registry)}
    assert lanes[LANE].tenants == {"b": 1, "acme": 1}
    assert (lanes[LANE].paused, lanes[LANE].paused_tenants) == (False, ("acme",))
    assert [name for name, lane in lanes.items() if lane.paused] == ["ocr.null.low"]
    assert {tenant.name: tenant.paused for tenant in tenants(registry)} == {"acme": True, "b": False}
    pause(registry, "engine", "null")
    assert [name for name, lane in {lane.name: lane for lane in queues(registry)}.items() if lane.paused] == [*LANES]


def test_check_sees_a_paused_tenant_that_has_a_turn(registry: WorkerRegistry) -> None:
    submit(registry, job(tenant="acme"))
    pause(registry, "tenant", "acme")
    registry.client.zadd(registry.keys.lane(LANE), {"acme": 1})
    registry.client.hset(registry.keys.turns(), "lane:scans", "1 ")
    assert len(check(registry)) == 2
    registry.client.hdel(registry.keys.turns(), "lane:scans")
    registry.client.zrem(registry.keys.lane(LANE), "acme")


def test_auto_leaves_a_paused_engine_out_unless_all_are(settings: WorkerSettings) -> None:
    with OcrQueue(settings.model_copy(update={"auto_engines": ("null", "tesseract")})) as queue:
        queue.pause(engine="null")
        assert queue.submit("s3://bucket/page.png", engine="auto").status().engine == "tesseract"
    with OcrQueue(settings.model_copy(update={"auto_engines": ("null", "tesseract")})) as queue:
        queue.pause(engine="tesseract")
        assert queue.submit("s3://bucket/page.png", engine="auto").status().engine == "null"
        assert {status.name for status in queue.engine_statuses() if status.paused} == {"null", "tesseract"}


async def test_the_clients_pause_and_resume(settings: WorkerSettings) -> None:
    async with AsyncOcrQueue(settings) as theirs:
        with OcrQueue(settings) as queue:
            assert await theirs.pause(tenant="acme", reason="unpaid")
            assert not queue.pause(tenant="acme")
            assert queue.pauses() == await theirs.pauses()
            assert queue.resume(tenant="acme")
            assert not await theirs.resume(tenant="acme")
            assert await theirs.pause(lane=LANE)
            for given in ({}, {"engine": "null", "tenant": "acme"}):
                with pytest.raises(PauseInvalid):
                    queue.pause(**given)
                with pytest.raises(PauseInvalid):
                    await theirs.resume(**given)
            for named in ({"engine": "nonesuch"}, {"engine": "auto"}, {"lane": "ocr.nonesuch.low"}):
                with pytest.raises(EngineUnknown):
                    queue.pause(**named)
                with pytest.raises(EngineUnknown):
                    await theirs.pause(**named)
            assert [each.name for each in queue.pauses()] == [LANE]


@pytest.mark.parametrize("face", ["sync", "async"])
async def test_pauses_resumes_and_drains_leave_a_line_in_the_audit(registry: WorkerRegistry, face: str) -> None:
    announcement = WorkerInfo(
        name="w1", holder="h1", queues=(LANE,), engines=(), concurrency=1, pid=1, started_at=datetime.now(UTC)
    )
    registry.heartbeat("h1", announcement.model_dump_json(exclude={"seen_at"}), [], 0)
    with OcrQueue(registry.settings) as queue:
        if face == "sync":
            queue.pause(tenant="acme", who="anna")
            queue.resume(tenant="acme")
            assert not queue.resume(tenant="acme")
            queue.drain("w1", who="anna")
        else:
            async with AsyncOcrQueue(registry.settings) as asynchronous:
                await asynchronous.pause(tenant="acme", who="anna")
                await asynchronous.resume(tenant="acme")
                assert not await asynchronous.resume(tenant="acme")
                await asynchronous.drain("w1", who="anna")
        found = queue.audit()
    assert sorted((entry.action, *entry.filter.items()) for entry in found) == [
        ("drain", ("workers", "w1")),
        ("pause", ("tenant", "acme")),
        ("resume", ("tenant", "acme")),
    ]
    assert [entry.who for entry in found].count("anna") == 2
    assert {entry.ended for entry in found} == {"done"}
    assert all("@" in entry.who for entry in found if entry.action == "resume")
