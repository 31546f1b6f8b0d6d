"""What lost workers had goes back to its place once, in its order, and nothing else moves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import cast

import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import Hold, Registry, WorkerRegistry
from ocrqueue.core.reclaimer import pause_between_rounds_s, reclaim, reclaim_patiently
from ocrqueue.core.worker_registry import Reclaimed
from ocrqueue.errors import SourceUnavailable
from ocrqueue.job import Job, new_job_id
from ocrqueue.settings import WorkerSettings
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
    was_reclaiming,
)

NOTHING = Reclaimed((), (), 0, False)


def submitted(registry: WorkerRegistry, number: int) -> list[Job]:
    jobs = [job() for _ in range(number)]
    submit(registry, *jobs)
    return jobs


def test_what_waits_or_is_held_is_left_alone(registry: WorkerRegistry) -> None:
    submitted(registry, 3)
    begun(registry), hold_of(registry)
    assert reclaimed(registry) == NOTHING


@pytest.mark.parametrize(("interval_s", "lost_after_s", "pause_s"), [(5, 60, 5), (5, 8, 2), (600, 15, 3.75)])
def test_no_setting_lets_rounds_come_too_late_to_reclaim(
    settings: WorkerSettings, interval_s: float, lost_after_s: float, pause_s: float
) -> None:
    """Who comes later than half a lease grants leases instead."""
    update = {"reconcile_interval_s": interval_s, "lost_after_s": lost_after_s}
    assert pause_between_rounds_s(settings.model_copy(update=update)) == pause_s


def test_a_part_without_heartbeat_goes_back_once(registry: WorkerRegistry) -> None:
    (given,) = submitted(registry, 1)
    end_lease(registry, begun(registry))
    assert registry.reclaim().requeued == (given.id,)
    assert registry.status(given.id).state == "queued"
    assert reclaimed(registry) == NOTHING
    again = registry.begin(hold_of(registry), "other", "null")
    assert (again.verdict, again.number, again.may_be_stored) == ("run", 2, True)


def test_a_heartbeat_keeps_what_it_names_and_nothing_else(registry: WorkerRegistry) -> None:
    kept, lost = submitted(registry, 2)
    holds = [begun(registry), begun(registry)]
    end_lease(registry, *holds)
    assert registry.heartbeat("holder", "", [holds[0], Hold("never", "t"), Hold(lost.id, "old")]).answers == (
        "yours",
        "gone",
        "gone",
    )
    assert registry.reclaim().requeued == (lost.id,)
    assert registry.status(kept.id).state == "running"


def test_what_was_lost_goes_before_what_came_later_and_in_its_order(registry: WorkerRegistry) -> None:
    jobs = submitted(registry, 5)
    holds = [begun(registry) for _ in range(3)]
    random.Random(7).shuffle(holds)
    for hold in holds:
        end_lease(registry, hold)
        registry.reclaim()
    assert all_parts(registry) == [one.id for one in jobs]


def test_many_who_reclaim_at_once_do_it_once(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    jobs = submitted(registry, 250)
    end_lease(registry, *(hold.hold for _ in range(250) for hold in take(registry).parts))

    def run(_: int) -> tuple[str, ...]:
        with closing(WorkerRegistry(settings)) as own:
            return reclaim(own).requeued

    with ThreadPoolExecutor(5) as pool:
        requeued = [part for parts in pool.map(run, range(5)) for part in parts]
    assert sorted(requeued) == sorted(one.id for one in jobs)
    assert all_parts(registry) == [one.id for one in jobs]


def test_after_a_standstill_workers_may_first_say_that_they_live(registry: WorkerRegistry) -> None:
    submitted(registry, 2)
    living, silent = begun(registry, "living"), begun(registry, "silent")
    end_lease(registry, living, silent)
    registry.client.hset(f"{registry.keys.root}reclaim", "last", "1")
    assert reclaim(registry) == Reclaimed((), (), 0, leases_granted=True)
    assert reclaim(registry).leases_granted, "until the lease is over"
    assert registry.heartbeat("living", "", [living]).answers == ("yours",)
    was_reclaiming(registry)
    assert reclaim(registry).requeued == (silent.part,)


@pytest.fixture
def slow(settings: WorkerSettings) -> Iterator[WorkerRegistry]:
    """Its leases are so long that a busy machine adds nothing: a silence of half an hour is one."""
    hours = settings.model_copy(update={"lost_after_s": 3600.0, "worker_heartbeat_s": 600.0})
    with closing(WorkerRegistry(hours)) as registry:
        was_reclaiming(registry)
        yield registry


def pass_time(registry: WorkerRegistry, minutes: float) -> None:
    """In which nobody says anything."""
    registry.client.hincrby(f"{registry.keys.root}reclaim", "last", -round(minutes * 60_000))


def test_whoever_reclaimed_is_lost_and_the_others_heartbeats_say_that_redis_was_there(slow: WorkerRegistry) -> None:
    (given,) = submitted(slow, 1)
    lost = begun(slow, "on duty")
    for _ in range(4):
        pass_time(slow, 10)
        assert slow.heartbeat("survivor", "", []).answers == ()
    slow.client.zadd(slow.keys.leases(), {lost.part: 1})
    found = reclaim(slow)
    assert not found.leases_granted
    assert found.requeued == (given.id,)


def test_the_first_heartbeat_after_an_outage_gives_all_workers_the_time_to_speak(slow: WorkerRegistry) -> None:
    submitted(slow, 1)
    living = begun(slow, "living")
    slow.client.zadd(slow.keys.leases(), {living.part: 1})
    pass_time(slow, 40)
    slow.heartbeat("who is sooner in touch", "", [])
    assert reclaim(slow) == Reclaimed((), (), 0, leases_granted=True)
    assert slow.heartbeat("living", "", [living]).answers == ("yours",)
    was_reclaiming(slow)
    assert reclaim(slow) == NOTHING


def test_the_worker_after_the_only_one_has_its_jobs_without_a_further_lease(slow: WorkerRegistry) -> None:
    (given,) = submitted(slow, 1)
    assert slow.heartbeat("killed", "", [begun(slow, "killed")], 1800).on_duty
    pass_time(slow, 25)
    assert not slow.heartbeat("next", "", [], 1800).on_duty, "the duties are still the other's"
    pass_time(slow, 10)
    slow.client.delete(f"{slow.keys.root}duty")
    assert slow.heartbeat("next", "", [], 1800).on_duty
    slow.client.zadd(slow.keys.leases(), {given.id: 1})
    assert reclaim(slow).requeued == (given.id,)


@pytest.fixture
def brief(settings: WorkerSettings) -> Iterator[WorkerRegistry]:
    """Beside those of `slow`: a silence of five minutes is one."""
    minutes = settings.model_copy(update={"lost_after_s": 600.0, "worker_heartbeat_s": 100.0})
    with closing(WorkerRegistry(minutes)) as registry:
        yield registry


def grace_min(registry: WorkerRegistry) -> int:
    """How many minutes of the grace are left; 0: none."""
    seconds, _ = registry.client.time()
    until_ms = int(registry.client.hget(f"{registry.keys.root}reclaim", "grace_until") or 0)
    return max(0, round((until_ms / 1000 - seconds) / 60))


def test_the_shortest_lease_says_what_a_silence_is(slow: WorkerRegistry, brief: WorkerRegistry) -> None:
    slow.heartbeat("slow", "", [])
    pass_time(slow, 10)
    slow.heartbeat("slow", "", [])
    assert grace_min(slow) == 0
    brief.heartbeat("brief", "", [])
    pass_time(slow, 4)
    slow.heartbeat("slow", "", [])
    assert grace_min(slow) == 0
    pass_time(slow, 10)
    # whoever is in touch first, leases of ten minutes may have run out
    slow.heartbeat("slow", "", [])
    assert grace_min(slow) > 0


def test_the_longest_lease_says_how_long_the_grace_lasts(slow: WorkerRegistry, brief: WorkerRegistry) -> None:
    submitted(slow, 1)
    brief.heartbeat("brief", "", [])
    living = begun(slow, "slow")
    assert slow.heartbeat("slow", "", [living]).answers == ("yours",)
    slow.client.zadd(slow.keys.leases(), {living.part: 1})
    pass_time(slow, 40)
    # the one with the long lease beats seldom, and may be in touch only after ten minutes
    brief.heartbeat("brief", "", [])
    assert grace_min(slow) == 60
    found = reclaim(brief)
    assert found == Reclaimed((), (), 0, leases_granted=True)
    assert round(found.grace_s / 60) == 60


def test_those_who_have_not_been_in_touch_since_the_silence_before_lengthen_no_grace(
    slow: WorkerRegistry, brief: WorkerRegistry
) -> None:
    slow.heartbeat("slow", "", [])
    pass_time(slow, 40)
    brief.heartbeat("brief", "", [])
    was_reclaiming(slow)  # the grace is over
    brief.heartbeat("brief", "", [])
    pass_time(slow, 10)
    brief.heartbeat("brief", "", [])
    assert grace_min(slow) == 10


def test_no_further_silence_makes_a_grace_shorter(slow: WorkerRegistry, brief: WorkerRegistry) -> None:
    slow.heartbeat("slow", "", [])
    pass_time(slow, 40)
    brief.heartbeat("brief", "", [])
    pass_time(slow, 10)
    brief.heartbeat("brief", "", [])
    assert grace_min(slow) == 60


def test_who_asks_for_a_round_that_counts_waits_for_it(settings: WorkerSettings) -> None:
    quick = settings.model_copy(update={"lost_after_s": 0.4, "worker_heartbeat_s": 0.1})
    with closing(WorkerRegistry(quick)) as registry:
        (given,) = submitted(registry, 1)
        begun(registry)
        assert reclaim_patiently(registry).requeued == (given.id,)


def test_the_pauses_of_retries_end_during_a_standstills_grace_too(registry: WorkerRegistry) -> None:
    (given,) = submitted(registry, 1)
    registry.release(begun(registry), SourceUnavailable().info, pause_s=60, is_retry=True)
    end_pauses(registry)
    assert registry.reclaim() == Reclaimed((), (), 1, leases_granted=True)
    assert all_parts(registry) == [given.id]


def test_of_ended_jobs_nothing_is_left_to_reclaim(registry: WorkerRegistry) -> None:
    ended, cancelled, gone = submitted(registry, 3)
    hold = begun(registry)
    registry.finish(hold, ended, succeeded(hold))
    registry.cancel(cancelled.id)
    end_lease(registry, begun(registry))
    registry.client.delete(registry.keys.record(gone.id))
    assert reclaimed(registry) == NOTHING
    assert registry.client.zcard(registry.keys.leases()) == 0


def test_the_memory_of_ends_and_dead_letters_goes_in_time(registry: WorkerRegistry) -> None:
    (given,) = submitted(registry, 1)
    hold = begun(registry)
    registry.finish(hold, given, succeeded(hold))
    client, keys = registry.client, registry.keys
    (day,) = client.smembers(keys.ended_days())
    kept_ms = client.pttl(keys.ended_ids(day.decode()))
    settings = registry.settings
    assert settings.ended_ttl_s * 1000 < kept_ms <= (settings.ended_ttl_s + 86_400) * 1000
    client.zadd(keys.dead(), {"long-ago": 1})
    client.delete(keys.ended_ids(day.decode()))
    reclaimed(registry)
    assert (client.scard(keys.ended_days()), client.zcard(keys.dead())) == (0, 0)
    client.delete(keys.record(given.id), keys.by_state("succeeded"))


# --- what storage may hold --------------------------------------------------------------------------------------------


def first_start(registry: WorkerRegistry, **fields: object) -> bool:
    submit(registry, job(**fields))
    return registry.begin(hold_of(registry), "w", "null").may_be_stored


def test_of_a_new_job_nothing_is_stored(registry: WorkerRegistry) -> None:
    assert not first_start(registry)


@pytest.mark.parametrize("id_", ["by-name", "76883e71-24ff-4bdc-a693-a9badc9059e2", "new"])
def test_an_id_that_was_given_may_have_a_result(registry: WorkerRegistry, id_: str) -> None:
    assert first_start(registry, id=new_job_id() if id_ == "new" else id_)


def test_a_job_that_an_app_made_by_itself_may_have_been_submitted_before(
    registry: WorkerRegistry,
) -> None:
    made = job()
    with OcrQueue(registry.settings) as queue:
        assert queue.submit(made).id == made.id
        assert registry.begin(hold_of(registry), "w", "null").may_be_stored
        queue.submit(made.image, engine="null")
    assert not registry.begin(hold_of(registry), "w", "null").may_be_stored


def test_where_redis_may_have_lost_what_it_knew_every_job_of_before_may_have_a_result(registry: WorkerRegistry) -> None:
    """Whichever clock the Redis of before had."""
    registry.client.set(registry.keys.replication(), "another")
    submit(registry, job())
    held = hold_of(registry)
    registry.client.script_flush()
    registry.client.connection_pool.disconnect()
    assert registry.begin(held, "w", "null").may_be_stored
    submit(registry, job())
    assert not registry.begin(hold_of(registry), "w", "null").may_be_stored


def test_what_was_submitted_before_the_first_worker_may_have_a_result(registry: WorkerRegistry) -> None:
    """Redis may have come back with a snapshot of before it."""
    registry.client.delete(registry.keys.replication())
    with closing(Registry(registry.settings)) as app:
        submit(app, job())
    held = hold_of(registry)
    registry.client.connection_pool.disconnect()
    assert registry.begin(held, "w", "null").may_be_stored


# --- long queues ------------------------------------------------------------------------------------------------------


def test_retries_and_what_was_sent_on_keep_their_places_before_a_long_queue(registry: WorkerRegistry) -> None:
    """5,000 that are taken again before 5,000 that wait, with 200 rounds of recovery: all are there, in order."""
    chance = random.Random(3)
    first, later = submitted(registry, 5000), [job() for _ in range(5000)]
    holds = [part.hold for _ in range(50) for part in take(registry, 100).parts]
    assert len(holds) == 5000
    submit(registry, *later)
    chance.shuffle(holds)
    by_id = {one.id: one for one in first}
    for hold in holds[:500]:
        assert registry.send_on(hold, by_id.pop(hold.part), "null") == "sent"
    for hold in holds[500:1500]:
        registry.begin(hold, "w", "null")
        assert registry.release(hold, SourceUnavailable().info, pause_s=60, is_retry=True) == "released"
    rest = holds[1500:]
    for number in range(200):
        end_lease(registry, *rest[number::200])
        end_pauses(registry)
        registry.reclaim(chance.choice([10, 100]))
    while registry.client.zcard(registry.keys.delayed()) or registry.client.zcount(registry.keys.leases(), 0, 1):
        reclaimed(registry)
    assert all_parts(registry) == [*by_id, *(one.id for one in later), *(hold.part for hold in holds[:500])]


def work_of(registry: WorkerRegistry, do: Callable[[], object]) -> int:
    """How many commands of Redis were called for it, by clients and by scripts."""
    registry.client.config_resetstat()
    do()
    stats = registry.client.info("commandstats")
    own = {"cmdstat_info", "cmdstat_config|resetstat"}
    return sum(found["calls"] for name, found in stats.items() if name not in own)


def test_no_move_does_more_where_more_waits(registry: WorkerRegistry) -> None:
    """Each of Redis's commands in them is O(log n) itself, and they are as many, but for counters' new periods."""

    def moves() -> None:
        parts = take(registry, 4).parts
        for part in parts:
            registry.begin(part.hold, "w", "null")
        registry.heartbeat("holder", "", [part.hold for part in parts])
        end_lease(registry, parts[0].hold)
        registry.reclaim()
        # what it brings back is read by itself: the batch of the next round is no smaller for it
        for part in take(registry).parts:
            registry.finish(part.hold, Job.model_validate_json(part.job), succeeded(part.hold))
        for part in parts[1:3]:
            one = Job.model_validate_json(part.job)
            registry.finish(part.hold, one, succeeded(part.hold))
        registry.cancel(parts[3].hold.part)
        submit(registry, job())

    submitted(registry, 20)
    moves()
    few = work_of(registry, moves)
    submitted(registry, 20_000)
    assert work_of(registry, moves) < few + 20


def test_what_waits_for_a_worker_that_never_comes_delays_no_other_lane(registry: WorkerRegistry) -> None:
    submit(registry, *(job(engine="tesseract") for _ in range(20_000)))
    (given,) = submitted(registry, 1)
    end_lease(registry, begun(registry))
    calls = work_of(registry, registry.reclaim)
    assert registry.status(given.id).state == "queued"
    assert calls < 40
    assert [part.hold.part for part in take(registry, 1, "holder", LANE).parts] == [given.id]


def test_a_batch_looks_at_four_times_as_many_parts_as_it_may_take(registry: WorkerRegistry) -> None:
    first, same = job(), job()
    submit(registry, first, *(job(options={"words": number + 1}) for number in range(200)), same)
    registry.client.config_resetstat()
    taken = take(registry, 4, "holder", LANE)
    assert [part.hold.part for part in taken.parts] == [first.id], "what is alike is too far behind"
    assert registry.client.info("commandstats")["cmdstat_hmget"]["calls"] <= 4 * 4 + 1


def test_a_batch_looks_at_as_few_where_there_are_many_tenants(registry: WorkerRegistry) -> None:
    submit(registry, *(job(tenant=f"t{number}", options={"words": number + 1}) for number in range(200)))
    registry.client.config_resetstat()
    assert len(take(registry, 4, "holder", LANE).parts) == 1
    stats = registry.client.info("commandstats")
    assert stats["cmdstat_hmget"]["calls"] <= 4 * 4 + 1
    assert stats["cmdstat_zrange"]["calls"] <= 4 * 4 + 1


@pytest.mark.parametrize("most", [1, 4])
def test_what_has_no_record_holds_up_nobody(registry: WorkerRegistry, most: int) -> None:
    gone, kept = submitted(registry, 500), submitted(registry, 2)
    registry.client.delete(*(registry.keys.record(one.id) for one in gone))
    assert [part.hold.part for part in take(registry, most).parts] == [one.id for one in kept][:most]


def test_of_a_batch_that_is_lost_with_its_worker_each_is_read_by_itself(registry: WorkerRegistry) -> None:
    """Any of them may have been the cause. It does not count, and the next delivery is alone."""
    jobs = submitted(registry, 4)
    cap = registry.settings.delivery_cap
    for part in take(registry, 4).parts[:3]:
        registry.begin(part.hold, "w", "null")
        end_lease(registry, part.hold)
    assert set(reclaimed(registry).requeued) == {one.id for one in jobs[:3]}
    (last,) = take(registry, 4, "other", LANE).parts
    assert last.hold.part == jobs[0].id, "by itself"
    for _ in range(cap):
        registry.begin(last.hold, "w", "null")
        end_lease(registry, last.hold)
        found = reclaimed(registry)
        if not found.poisonous:
            (last,) = take(registry, 4, "other", LANE).parts
    assert found.poisonous == (jobs[0].id,), "it is the one"
    assert [registry.status(one.id).state for one in jobs[1:]] == ["queued", "queued", "queued"]
    # the fourth had not begun: it is still in the hand of the worker that was lost
    assert [part.hold.part for part in take(registry, 4, "other", LANE).parts] == [jobs[1].id]
    assert [part.hold.part for part in take(registry, 4, "other", LANE).parts] == [jobs[2].id]


def test_what_is_given_back_unbegun_is_as_near_to_poison_as_before(registry: WorkerRegistry) -> None:
    submitted(registry, 1)
    for _ in range(registry.settings.delivery_cap):
        assert registry.give_back_unbegun(hold_of(registry)) == "released"
        end_lease(registry, begun(registry))
        found = reclaimed(registry)
    assert len(found.poisonous) == 1


def test_a_clock_that_is_put_back_stops_nobody_from_reclaiming(registry: WorkerRegistry) -> None:
    (given,) = submitted(registry, 1)
    hold = begun(registry)
    seconds, _ = registry.client.time()
    in_an_hour = (seconds + 3600) * 1000
    # as Redis has noted it by the clock of before
    registry.client.hset(f"{registry.keys.root}reclaim", mapping={"last": in_an_hour, "grace_until": in_an_hour})
    registry.client.zadd(registry.keys.leases(), {hold.part: in_an_hour})
    assert registry.reclaim().leases_granted
    # by the clock of afterwards: a busy machine may have taken long
    seconds, _ = registry.client.time()
    lease_ms = registry.settings.lost_after_s * 1000
    assert registry.client.zscore(registry.keys.leases(), hold.part) <= (seconds + 5) * 1000 + lease_ms
    grace_until = int(registry.client.hget(f"{registry.keys.root}reclaim", "grace_until") or 0)
    assert grace_until <= (seconds + 5) * 1000 + lease_ms
    end_lease(registry, hold)
    assert reclaimed(registry).requeued == (given.id,)


@pytest.fixture
def slower(slow: WorkerRegistry) -> Iterator[WorkerRegistry]:
    """Of a worker with leases twice as long, beside those who reclaim."""
    with closing(WorkerRegistry(slow.settings.model_copy(update={"lost_after_s": 7200.0}))) as registry:
        yield registry


def test_who_reclaims_leaves_leases_alone_that_are_longer_than_its_own(
    slow: WorkerRegistry, slower: WorkerRegistry
) -> None:
    submitted(slower, 1)
    hold = begun(slower)
    slower.heartbeat("holder", "", [hold])
    lease = slower.client.zscore(slower.keys.leases(), hold.part)
    assert reclaim(slow) == NOTHING
    slow.heartbeat("another", "", [])
    assert slower.client.zscore(slower.keys.leases(), hold.part) == lease


@pytest.mark.parametrize("who", ["reclaim", "heartbeat"])
def test_where_the_clock_is_put_back_each_lease_keeps_its_own_length(
    slow: WorkerRegistry, slower: WorkerRegistry, who: str
) -> None:
    submitted(slower, 2)
    longer, shorter = begun(slower), begun(slow)
    day_ms = 24 * 3_600_000
    # as all was noted by the clock of before
    slow.client.hincrby(f"{slow.keys.root}reclaim", "last", day_ms)
    for hold in (longer, shorter):
        slow.client.zincrby(slow.keys.leases(), day_ms, hold.part)
    if who == "heartbeat":
        slow.heartbeat("another", "", [])
    assert slow.reclaim().leases_granted
    seconds, _ = slow.client.time()
    left = [
        cast("float", slow.client.zscore(slow.keys.leases(), hold.part)) / 1000 - seconds for hold in (longer, shorter)
    ]
    assert 6600 < left[0] < 7800
    assert 3000 < left[1] < 4200
