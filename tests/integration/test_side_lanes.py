"""Side lanes: parts that one worker gave back wait where others find them, and hold nobody up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ocrqueue.core import EngineOffer, Hold, Trouble, WorkerInfo, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.core.installation import queues
from ocrqueue.core.pauses import PauseKind, pause, resume
from ocrqueue.core.side_lanes import for_languages, for_others, lane_of, languages_of, may_take, side_lanes
from ocrqueue.core.worker_registry import Sidesteps
from ocrqueue.errors import LanguageMissing, QueueFull, SourceAccessDenied, StorageDenied
from ocrqueue.settings.per_engine import PerEngine
from tests.support.moves import (
    LANE,
    all_parts,
    begun,
    end_lease,
    end_pauses,
    hold_of,
    job,
    reclaimed,
    submit,
    succeeded,
    take,
)

FRENCH = for_languages(LANE, ["fra"])
ERROR = LanguageMissing("No pack for fra.").info


def sidestep(registry: WorkerRegistry, side_lane: str = FRENCH, **options: bool) -> Hold:
    """The next part, begun and given back to a side lane."""
    hold = begun(registry)
    assert registry.sidestep(hold, ERROR, side_lane, **options) == "released"
    return hold


def worker(*languages: str, engine: str = "null", **given: object) -> WorkerInfo:
    offer = EngineOffer(name=engine, version="1", model="none", languages=languages)
    fields = {"queues": (LANE,), "engines": (offer,), "concurrency": 1, "pid": 1, "holder": "me", **given}
    return WorkerInfo(name="w", started_at=datetime.now(UTC), **fields)


def test_a_part_in_a_side_lane_is_out_of_the_way_of_those_behind_it(registry: WorkerRegistry) -> None:
    first, second = job(), job()
    submit(registry, first, second)
    hold = sidestep(registry)
    assert hold.part == first.id
    assert side_lanes(registry) == [FRENCH]
    status = registry.status(first.id)
    assert (status.state, status.error and status.error.code) == ("queued", "language.missing")
    assert check(registry) == []
    assert hold_of(registry).part == second.id
    assert take(registry).parts == ()
    able = hold_of(registry, "able", LANE, FRENCH)
    assert able.part == first.id
    assert registry.begin(able, "w", "null").retries == 0
    assert registry.finish(able, first, succeeded(able)) == "succeeded"
    assert check(registry) == []


def test_it_does_not_count_as_a_delivery_and_is_remembered(registry: WorkerRegistry) -> None:
    submit(registry, job())
    hold = sidestep(registry, denied=True)
    assert registry.sidesteps(hold) == Sidesteps(FRENCH, 1, True)
    assert registry.client.hget(registry.keys.record(hold.part), "deliveries") is None
    assert registry.sidestep(hold, ERROR, FRENCH) == "gone", "asked for twice, it has happened once"
    assert registry.sidesteps(hold) == Sidesteps(FRENCH, 1, True)


def test_it_comes_back_to_its_side_lane_from_a_pause_and_from_a_lost_worker(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    sidestep(registry)
    hold = hold_of(registry, "able", FRENCH)
    # its side lane is forgotten meanwhile
    assert registry.readmit(FRENCH, 0) == 0
    assert side_lanes(registry) == []
    registry.begin(hold, "w", "null")
    registry.release(hold, ERROR, pause_s=60, is_retry=True)
    end_pauses(registry)
    assert reclaimed(registry).due == 1
    assert side_lanes(registry) == [FRENCH]
    hold = hold_of(registry, "able", FRENCH)
    end_lease(registry, hold)
    assert reclaimed(registry).requeued == (given.id,)
    assert check(registry) == []
    assert hold_of(registry, "able", FRENCH).part == given.id


def test_what_waits_there_counts_as_waiting_in_its_lane(registry: WorkerRegistry) -> None:
    limited = WorkerRegistry(registry.settings.model_copy(update={"max_queue_length": PerEngine(2, {})}))
    first, second = job(tenant="a"), job(tenant="b")
    submit(registry, first, second)
    sidestep(registry)
    (lane,) = (lane for lane in queues(registry) if lane.name == LANE)
    assert (lane.waiting, lane.tenants, lane.oldest_job) == (2, {"b": 1, "a": 1}, first.id)
    with pytest.raises(QueueFull):
        submit(limited, job())
    limited.close()


def test_a_cancelled_part_leaves_its_side_lane(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    sidestep(registry)
    assert registry.cancel(given.id) == "cancelled"
    assert check(registry) == []
    assert take(registry, 1, "able", FRENCH).parts == ()


@pytest.mark.parametrize(("kind", "name"), [("engine", "null"), ("lane", LANE), ("tenant", "acme")])
def test_a_side_lane_is_paused_and_resumed_with_its_lane(registry: WorkerRegistry, kind: PauseKind, name: str) -> None:
    first, second = job(tenant="acme"), job(tenant="acme")
    submit(registry, first, second)
    sidestep(registry)
    later = begun(registry)
    pause(registry, kind, name)
    # what was begun before the pause is given back in it
    assert registry.sidestep(later, ERROR, FRENCH) == "released"
    assert check(registry) == []
    assert take(registry, 2, "able", FRENCH).parts == ()
    assert [lane.waiting for lane in queues(registry) if lane.name == LANE] == [2]
    # a worker on duty that finds nobody's turn there does not forget it
    assert registry.readmit(FRENCH, 0) == 0
    assert side_lanes(registry) == [FRENCH]
    registry.client.delete(registry.keys.bell(FRENCH))
    assert resume(registry, kind, name)
    assert registry.client.exists(registry.keys.bell(FRENCH))
    assert check(registry) == []
    assert [hold_of(registry, "able", FRENCH).part for _ in range(2)] == [first.id, second.id]


@pytest.mark.parametrize(("kind", "name"), [("engine", "null"), ("lane", LANE), ("tenant", "acme")])
def test_what_goes_back_to_its_lane_from_a_paused_side_lane_is_paused_there(
    registry: WorkerRegistry, kind: PauseKind, name: str
) -> None:
    given = job(tenant="acme")
    submit(registry, given)
    sidestep(registry)
    pause(registry, kind, name)
    registry.client.delete(registry.keys.bell(LANE))
    assert [registry.readmit(FRENCH, 3), registry.readmit(FRENCH, 3)] == [1, 0]
    assert side_lanes(registry) == []
    assert check(registry) == []
    assert not registry.client.exists(registry.keys.bell(LANE))
    assert take(registry).parts == ()
    resume(registry, kind, name)
    assert hold_of(registry).part == given.id


def test_parts_that_nobody_may_take_go_back_in_bounded_steps_to_their_old_places(registry: WorkerRegistry) -> None:
    jobs = [job(tenant=tenant) for tenant in ("a", "b", "a", "b", "a")]
    submit(registry, *jobs)
    for _ in range(4):
        sidestep(registry)
    assert [registry.readmit(FRENCH, 3), registry.readmit(FRENCH, 3), registry.readmit(FRENCH, 3)] == [3, 1, 0]
    assert side_lanes(registry) == []
    assert check(registry) == []
    keys = registry.client.keys(f"{registry.keys.root}*fra*")
    assert keys == []
    assert registry.client.hkeys(f"{registry.keys.root}turns") == [LANE.encode()]
    taken = all_parts(registry, 1)
    assert sorted(taken) == sorted(each.id for each in jobs)
    for tenant in ("a", "b"):
        own = [each.id for each in jobs if each.tenant == tenant]
        assert [part for part in taken if part in own] == own


def test_a_ring_for_a_side_lane_is_passed_on_while_something_waits(registry: WorkerRegistry) -> None:
    submit(registry, job(), job())
    sidestep(registry)
    sidestep(registry)
    bell = registry.keys.bell(FRENCH)
    assert registry.client.lpop(bell) == b"1"
    assert take(registry, 1, "able", FRENCH).left == 1
    assert registry.client.llen(bell) == 1


def test_heartbeats_tell_of_side_lanes(registry: WorkerRegistry) -> None:
    submit(registry, job())
    assert registry.heartbeat("able", "", []).side_lanes == ()
    sidestep(registry)
    assert registry.heartbeat("able", "", []).side_lanes == (FRENCH,)


def test_who_may_take_from_a_side_lane() -> None:
    both = for_languages(FRENCH, ["fra", "eng"])
    assert (both, lane_of(both), languages_of(both)) == ("ocr.null/eng+fra", LANE, ("eng", "fra"))
    assert may_take(both, worker("eng", "fra"))
    assert may_take(both, worker()), "it does not care for languages"
    assert not may_take(both, worker("eng"))
    assert not may_take(both, worker("eng", "fra", queues=()))
    assert not may_take(both, worker("eng", "fra", engine="other"))
    script = for_languages(LANE, ["script/Hangul"])
    assert (lane_of(script), languages_of(script)) == (LANE, ("script/Hangul",))
    others = for_others(both, "me")
    assert languages_of(others) == ()
    assert not may_take(others, worker())
    assert may_take(others, worker(holder="another"))


def test_who_takes_nothing_may_take_from_no_side_lane() -> None:
    now = datetime.now(UTC)
    denied = Trouble(what="storage", error=StorageDenied().info, since=now)
    assert not may_take(FRENCH, worker("fra", troubles=(denied,)))
    lacking = Trouble(what="languages of other", error=ERROR, since=now, engine="other")
    assert may_take(FRENCH, worker("fra", troubles=(lacking,)))
    told = Trouble(what="languages of null", error=SourceAccessDenied().info, since=now, engine="null", stops=False)
    assert may_take(FRENCH, worker("fra", troubles=(told,)))
