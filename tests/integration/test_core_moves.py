"""The moves of parts, against a real Redis: what each does, what it does twice, and that all of them keep the rules."""

from __future__ import annotations

import itertools
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ResponseError

from ocrqueue.core import Hold, Outcome, Taken, Used, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.errors import EngineFailed, JobUnknown, SourceUnavailable, WorkerStopping
from ocrqueue.job import Job
from ocrqueue.job.route import Step
from ocrqueue.routing import make_route
from tests.support.moves import (
    LANE,
    LANES,
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


def test_a_job_of_one_part_takes_three_moves(registry: WorkerRegistry) -> None:
    given = job()
    (job_id,) = submit(registry, given)
    assert registry.status(job_id).state == "queued"
    taken = take(registry)
    assert (taken.lane, taken.left, len(taken.parts)) == (LANE, 0, 1)
    (part,) = taken.parts
    assert Job.model_validate_json(part.job) == given
    assert registry.status(job_id).state == "queued"
    start = registry.begin(part.hold, "worker@host", "null")
    assert (start.verdict, start.number, start.retries, start.may_be_stored) == ("run", 1, 0, False)
    assert registry.status(job_id).state == "running"
    assert registry.finish(part.hold, given, succeeded(part.hold)) == "succeeded"
    status = registry.status(job_id)
    assert (status.state, status.result, status.attempts) == ("succeeded", "file:///result.json", 1)
    assert take(registry) == Taken()


def test_every_move_may_be_asked_for_twice(registry: WorkerRegistry) -> None:
    given = job()
    assert submit(registry, given) == submit(registry, given) == [given.id]
    first = registry.take("token", "holder", [(LANE, 1)])
    assert registry.take("token", "holder", [(LANE, 1)]).parts == first.parts
    (part,) = first.parts
    begun = registry.begin(part.hold, "w", "null")
    assert registry.begin(part.hold, "w", "null") == begun
    assert registry.progress(part.hold, 1, 2) == registry.progress(part.hold, 1, 2) == "go on"
    assert registry.release(part.hold, EngineFailed().info, pause_s=60, is_retry=True) == "released"
    assert registry.release(part.hold, EngineFailed().info, pause_s=60, is_retry=True) == "gone"
    registry.client.zadd(registry.keys.delayed(), {given.id: 1})
    assert (registry.reclaim().due, registry.reclaim().due) == (1, 0)
    hold = hold_of(registry)
    assert registry.begin(hold, "w", "null").number == 2
    assert registry.lost([hold]) == ["requeued"]
    assert registry.lost([hold]) == ["gone"]
    hold = hold_of(registry)
    registry.begin(hold, "w", "null")
    assert registry.finish(hold, given, succeeded(hold)) == "succeeded"
    assert registry.finish(hold, given, succeeded(hold)) == "succeeded"
    assert registry.cancel(given.id) == registry.cancel(given.id) == "succeeded"


def test_an_old_token_changes_nothing(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    old = hold_of(registry)
    registry.begin(old, "w1", "null")
    end_lease(registry, old)
    assert registry.reclaim().requeued == (given.id,)
    new = hold_of(registry, "other")
    registry.begin(new, "w2", "null")
    assert registry.progress(old, 1, 2) == "gone"
    assert registry.release(old, None) == "gone"
    assert registry.finish(old, given, succeeded(old)) == "gone"
    assert registry.send_on(old, given, "null") == "gone"
    assert registry.lost([old]) == ["gone"]
    assert registry.heartbeat("holder", "", [old, new]).answers == ("gone", "yours")
    assert registry.begin(old, "w1", "null").verdict == "gone"
    assert registry.finish(new, given, succeeded(new)) == "succeeded"
    assert registry.finish(old, given, succeeded(old)) == "ended"
    assert registry.finish(new, given, succeeded(new)) == "succeeded", "it asks again"


def test_a_batch_is_of_one_kind_and_looks_at_few(registry: WorkerRegistry) -> None:
    english, korean = [job() for _ in range(5)], [job(languages=("kor",)) for _ in range(2)]
    submit(registry, english[0], korean[0], *english[1:4], korean[1], english[4])
    taken = take(registry, 4)
    assert [part.hold.part for part in taken.parts] == [one.id for one in english[:4]]
    assert len({part.hold.token for part in taken.parts}) == 1
    assert [part.hold.part for part in take(registry, 4).parts] == [one.id for one in korean]
    holds = [part.hold for part in taken.parts]
    assert [registry.begin(hold, "w", "null").verdict for hold in holds] == ["run"] * 4
    assert [registry.release(hold, None, alone=True) for hold in holds] == ["released"] * 4
    # what was lost together is read by itself
    assert [[part.hold.part for part in take(registry, 4).parts] for _ in range(4)] == [[one.id] for one in english[:4]]


def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked(registry: WorkerRegistry) -> None:
    waiting, taken, running = jobs = [job(), job(), job()]
    submit(registry, running, taken, waiting)
    holds = [hold_of(registry), hold_of(registry)]
    registry.begin(holds[0], "w", "null")
    with registry.client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(registry.keys.cancel())
        heard.get_message(timeout=1)
        assert [registry.cancel(one.id) for one in (waiting, taken, running)] == ["cancelled", "cancelled", "running"]
        message = heard.get_message(timeout=60) or heard.get_message(timeout=60)
    assert message is not None
    assert message["data"].decode() == f"{running.id} {holds[0].token}"
    assert registry.begin(holds[1], "w", "null").verdict == "ended"
    assert registry.progress(holds[0], 1, 2) == "stop"
    assert registry.heartbeat("holder", "", holds).answers == ("stop", "gone")
    assert registry.release(holds[0], EngineFailed().info, pause_s=5, is_retry=True) == "cancelled"
    assert {status.state for status in registry.statuses([one.id for one in jobs]) if status} == {"cancelled"}
    assert take(registry) == Taken()


def test_a_reply_queue_that_is_none_holds_up_no_end(registry: WorkerRegistry) -> None:
    registry.client.set(registry.keys.foreign("theirs"), "no list")
    read, lost = job(reply_to="theirs"), job(reply_to="theirs")
    submit(registry, read, lost)
    hold = hold_of(registry)
    assert registry.finish(hold, read, succeeded(hold)) == "succeeded"
    end_lease(registry, begun(registry))
    registry.cancel(lost.id)
    reclaimed(registry)
    assert registry.status(lost.id).state == "cancelled"
    assert registry.client.get(registry.keys.foreign("theirs")) == b"no list"
    assert check(registry) == []


def test_a_part_that_takes_its_workers_down_is_poison_after_the_cap(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    for number in range(3):
        hold = hold_of(registry)
        assert registry.begin(hold, "w", "null").number == number + 1
        end_lease(registry, hold)
        found = registry.reclaim()
        assert (found.requeued, found.poisonous) == (((given.id,), ()) if number < 2 else ((), (given.id,)))
    status = registry.status(given.id)
    assert status.state == "failed"
    assert status.error is not None
    assert status.error.code == "job.poison"
    assert registry.client.zscore(registry.keys.dead(), given.id)


def test_a_worker_that_dies_before_it_begins_brings_nobody_nearer_to_poison(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    for _ in range(19):
        end_lease(registry, hold_of(registry))
        assert registry.reclaim().requeued == (given.id,)
    assert registry.begin(hold := hold_of(registry), "w", "null").number == 1
    assert registry.lost([hold]) == ["requeued"]


def test_what_others_have_put_in_a_records_place_holds_up_no_recovery(registry: WorkerRegistry) -> None:
    client, keys = registry.client, registry.keys
    submit(registry, given := job())
    end_lease(registry, hold_of(registry))
    for index in (keys.leases(), keys.delayed()):
        client.zadd(index, {"string": 1, "string:00001": 1, "gone": 1})
    client.set(keys.record("string"), "theirs")
    strange = [Hold("string", "token"), Hold("string:00001", "token")]
    assert registry.heartbeat("holder", "", strange).answers == ("gone", "gone")
    assert reclaimed(registry).requeued == (given.id,)
    assert (client.zcard(keys.leases()), client.zcard(keys.delayed())) == (0, 0)
    assert check(registry) == ["job:string is not a hash: another program has written it"]
    client.delete(keys.record("string"))


@pytest.mark.parametrize("key", ["by_tag:x", "by_tenant:acme", "queue:ocr.null:acme", "lane:ocr.null", "batch:acme:b"])
def test_a_job_that_meets_a_key_of_others_is_not_known_and_can_be_submitted_again(
    registry: WorkerRegistry, key: str
) -> None:
    given = job(tag="x", tenant="acme", batch="b")
    registry.client.set(registry.keys.root + key, "theirs")
    with pytest.raises(ResponseError):
        submit(registry, given)
    with pytest.raises(JobUnknown):
        registry.status(given.id)
    registry.client.delete(registry.keys.root + key)
    # what was written before it was met is dropped
    assert all_parts(registry) == []
    assert submit(registry, given) == [given.id]
    assert all_parts(registry) == [given.id]


def test_after_a_pause_of_all_who_reclaim_leases_are_granted_first(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    hold = hold_of(registry)
    registry.client.zadd(registry.keys.leases(), {hold.part: 1})
    assert registry.reclaim().leases_granted
    assert registry.reclaim() == registry.reclaim()
    assert registry.heartbeat("holder", "", [hold]).answers == ("yours",)


def test_a_retry_keeps_its_place_and_one_that_goes_on_is_a_new_arrival(registry: WorkerRegistry) -> None:
    first, second, third = [job(), job(), job()]
    submit(registry, first, second, third)
    hold = hold_of(registry)
    registry.begin(hold, "w", "null")
    registry.release(hold, EngineFailed().info, is_retry=True)
    hold = hold_of(registry)
    assert hold.part == first.id
    registry.begin(hold, "w", "null")
    assert registry.send_on(hold, first, "null") == "sent"
    assert [hold_of(registry).part for _ in range(3)] == [second.id, third.id, first.id]


def test_an_id_that_has_ended_stays_so_without_its_record(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    hold = hold_of(registry)
    registry.finish(hold, given, succeeded(hold))
    registry.client.delete(registry.keys.record(given.id))
    assert submit(registry, given) == [given.id]
    assert take(registry) == Taken()
    with pytest.raises(JobUnknown) as raised:
        registry.status(given.id)
    assert raised.value.code == "job.ended"


def test_the_end_of_a_job_that_redis_has_lost_is_told_all_the_same(registry: WorkerRegistry) -> None:
    given = job(tenant="acme", reply_to="theirs")
    submit(registry, given)
    hold = begun(registry)
    registry.client.delete(registry.keys.record(given.id), registry.keys.leases())
    assert registry.finish(hold, given, succeeded(hold), by_name=True) == "succeeded"
    status = registry.status(given.id)
    assert (status.state, status.result, status.tenant) == ("succeeded", "file:///result.json", "acme")
    prefix = registry.settings.key_prefix
    assert registry.client.llen(f"{prefix}theirs") == 1
    assert registry.client.exists(f"{prefix}celery-task-meta-{given.id}")
    # its end is not told a second time
    registry.client.delete(registry.keys.record(given.id))
    assert registry.finish(hold, given, succeeded(hold)) == "gone"
    assert registry.client.llen(f"{prefix}theirs") == 1


def test_a_job_is_split_and_its_last_part_gathers_the_pages(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given, job())
    opening = hold_of(registry)
    registry.begin(opening, "w", "null")
    assert registry.split(opening, 40, "sha256") == registry.split(opening, 40, "sha256") == "split"
    assert registry.split(opening, 40, "other") == "changed"
    assert registry.client.zcard(registry.keys.queue(LANE, "")) == 32 + 1
    holds = [hold_of(registry) for _ in range(40)]
    assert [hold.part for hold in holds] == [f"{given.id}:{number:05d}" for number in range(1, 41)]
    for hold in holds[:-1]:
        assert registry.begin(hold, "w", "null").number == 1
        assert registry.finish(hold, given, succeeded(hold), next_token="closing") == "done"
    assert registry.status(given.id).pages_done == 39
    last = holds[-1]
    registry.begin(last, "w", "null")
    failed = Outcome(job_id=given.id, state="failed", error=EngineFailed().info)
    assert registry.finish(last, given, failed, next_token="closing") == "close"
    assert registry.finish(last, given, failed, next_token="closing") == "close"
    errors = registry.client.hgetall(registry.keys.parts_done(given.id))
    assert [number for number, error in errors.items() if error] == [b"00040"]
    closing = Hold(given.id, "closing")
    assert registry.heartbeat("holder", "", [closing]).answers == ("yours",)
    assert registry.finish(closing, given, succeeded(closing)) == "succeeded"


def test_every_part_of_a_split_job_is_told_how_many_there_are_and_what_was_split(registry: WorkerRegistry) -> None:
    given = job(tenant="acme")
    submit(registry, given)
    opening = hold_of(registry)
    start = registry.begin(opening, "w", "null")
    assert (opening.page, start.pages, start.pin) == (None, 0, "")
    registry.split(opening, 2, "sha256")
    for number in (1, 2):
        page = hold_of(registry)
        start = registry.begin(page, "w", "null")
        assert (page.page, start.number, start.pages, start.pin) == (number, 1, 2, "sha256")
        read = succeeded(page)
        error = EngineFailed().info if number == 1 else None
        outcome = read.model_copy(update={"state": "failed", "error": error, "pages": 0}) if error else read
        registry.finish(page, given, outcome, Used(outcome.pages), next_token=page.closing.token)
    closing = page.closing
    start = registry.begin(closing, "w", "null")
    assert (closing.part, start.verdict, start.number, start.pages) == (given.id, "run", 1, 2)
    assert {number: error.code for number, error in registry.page_errors(given.id).items()} == {1: "engine.failed"}
    assert registry.finish(closing, given, succeeded(closing), Used(2)) == "succeeded"
    assert registry.page_errors(given.id) == {}
    seconds, _ = registry.client.time()
    used = registry.client.hgetall(registry.keys.usage(seconds // 86400, "acme"))
    assert {name: int(amount) for name, amount in used.items()} == {b"jobs": 1, b"pages": 1}
    assert sum(map(int, registry.client.hvals(registry.keys.pages("null")))) == 1


def test_no_more_page_parts_come_into_the_lane_than_have_room(registry: WorkerRegistry) -> None:
    """However many of them come back to it, or pause."""
    given = job()
    submit(registry, given)
    registry.split(begun(registry), 100, "sha256")

    def idle() -> int:
        return int(registry.client.zcard(registry.keys.queue(LANE, ""))) + int(
            registry.client.zcard(registry.keys.delayed())
        )

    holds = [begun(registry) for _ in range(8)]
    assert idle() == 32
    for number, hold in enumerate(holds):
        registry.release(hold, SourceUnavailable().info, pause_s=60 * (number % 2), is_retry=True)
    assert idle() == 40
    for _ in range(36):
        registry.release(begun(registry), SourceUnavailable().info, pause_s=60, is_retry=True)
        assert idle() == 40
    assert take(registry) == Taken(), "all of them pause"
    assert registry.client.scard(registry.keys.open_parts(given.id)) == 40
    assert check(registry) == []
    done = []
    end_pauses(registry)
    reclaimed(registry)
    state = "done"
    while state == "done":
        done.append(hold := begun(registry))
        state = registry.finish(hold, given, succeeded(hold), next_token="closing")
    assert (sorted(hold.page or 0 for hold in done), state) == ([*range(1, 101)], "close")


def test_whatever_ends_a_job_that_had_begun_says_that_something_may_be_stored(registry: WorkerRegistry) -> None:
    kept, failed, cancelled, sent_on, forgotten = (job() for _ in range(5))
    submit(registry, kept, failed, cancelled, sent_on, forgotten)
    registry.finish(hold := begun(registry), kept, succeeded(hold))
    error = SourceUnavailable().info
    for given in (failed, cancelled):
        hold, cancels = begun(registry), given is cancelled
        if cancels:
            registry.cancel(given.id)
            assert registry.release(hold, None) == "cancelled"
        else:
            registry.finish(hold, given, Outcome(job_id=given.id, state="failed", error=error))
    assert registry.send_on(begun(registry), sent_on, "null") == "sent"
    registry.client.delete(registry.keys.record(forgotten.id))
    lost = Outcome(job_id="lost", state="failed", error=error)
    registry.finish(Hold("lost", "token"), job(id="lost"), lost)
    assert registry.cancel(sent_on.id) == "cancelled"
    assert take(registry) == Taken()
    refused = registry.arguments.take_in(
        "ocr.null", b"x", job(id="refused"), lost.model_copy(update={"job_id": "refused"}), {}
    )
    registry.client.lpush(registry.keys.foreign("ocr.null"), b"x")
    assert registry.run("take_in", refused) == b"failed"
    assert set(registry.leftovers(100)) == {failed.id, cancelled.id, sent_on.id, "lost"}


def test_what_a_job_has_stored_that_ends_with_no_worker_at_hand_is_removed_by_one_on_duty(
    registry: WorkerRegistry,
) -> None:
    waiting, unbegun, lost = job(), job(), job()
    submit(registry, unbegun, lost, waiting)
    assert registry.cancel(unbegun.id) == "cancelled"
    registry.release(begun(registry), SourceUnavailable().info, pause_s=60)
    registry.split(begun(registry), 3, "sha256")
    assert reclaimed(registry).leftovers == ()
    assert registry.cancel(lost.id) == registry.cancel(waiting.id) == "cancelled"
    for _ in range(2):
        assert set(reclaimed(registry).leftovers) == {lost.id, waiting.id}
    registry.forget_leftovers([lost.id, waiting.id])
    assert reclaimed(registry).leftovers == ()
    poisonous = job()
    submit(registry, poisonous)
    for _ in range(3):
        end_lease(registry, begun(registry))
        reclaimed(registry)
    assert reclaimed(registry).leftovers == (poisonous.id,)
    DeadLetters(registry).replay(poisonous.id)
    assert reclaimed(registry).leftovers == (), "it has begun anew"


def test_a_closing_part_whose_worker_is_lost_waits_for_another(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    opening = hold_of(registry)
    registry.begin(opening, "w", "null")
    registry.split(opening, 2, "sha256")
    for hold in (hold_of(registry), hold_of(registry)):
        registry.begin(hold, "w", "null")
        registry.finish(hold, given, succeeded(hold), next_token="closing")
    assert registry.lost([Hold(given.id, "closing")]) == ["requeued"]
    (part,) = take(registry).parts
    assert part.closing
    registry.begin(part.hold, "w", "null")
    assert registry.finish(part.hold, given, succeeded(part.hold)) == "succeeded"


def test_a_job_that_was_asked_to_stop_is_not_split(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    opening = begun(registry)
    assert registry.cancel(given.id) == "running"
    assert registry.split(opening, 3, "sha256") == "cancelled"
    assert registry.status(given.id).state == "cancelled"
    assert registry.split(opening, 3, "sha256") == "ended"


def test_a_page_part_that_takes_its_workers_down_leaves_the_others_their_pages(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    registry.split(begun(registry), 2, "sha256")
    for _ in range(3):
        end_lease(registry, begun(registry))
        found = registry.reclaim()
    assert found.poisonous == (f"{given.id}:00001",)
    second = begun(registry)
    assert registry.finish(second, given, succeeded(second), next_token="closing") == "close"
    assert b"job.poison" in registry.client.hget(registry.keys.parts_done(given.id), "00001")
    closing = Hold(given.id, "closing")
    assert registry.finish(closing, given, succeeded(closing)) == "succeeded"


def test_where_the_last_page_part_is_poison_a_worker_is_asked_to_gather_the_others(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    registry.split(begun(registry), 1, "sha256")
    for _ in range(3):
        end_lease(registry, begun(registry))
        registry.reclaim()
    (part,) = take(registry).parts
    assert (part.hold.part, part.closing) == (given.id, True)
    registry.begin(part.hold, "w", "null")
    assert registry.finish(part.hold, given, succeeded(part.hold)) == "succeeded"


def test_what_is_given_back_in_order_brings_nobody_nearer_to_poison(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    for _ in range(30):
        assert registry.release(hold_of(registry), None) == "released"
    for attempt in range(1, 8):
        hold = hold_of(registry)
        start = registry.begin(hold, "w", "null")
        assert (start.verdict, start.number, start.retries) == ("run", attempt, 0)
        assert registry.release(hold, SourceUnavailable("Try later.").info) == "released"
        waiting = registry.status(given.id)
        assert (waiting.state, waiting.error and waiting.error.code) == ("queued", "source.unavailable")
    end_lease(registry, hold_of(registry))
    assert registry.reclaim().requeued == (given.id,)


def test_an_attempt_that_did_nothing_is_undone(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    for _ in range(30):
        hold = hold_of(registry)
        assert registry.begin(hold, "w", "null").number == 1
        assert registry.status(given.id).started_at is not None
        assert registry.release(hold, WorkerStopping().info, unread=True) == "released"
        assert registry.release(hold, WorkerStopping().info, unread=True) == "gone"
        waiting = registry.status(given.id)
        assert (waiting.state, waiting.attempts, waiting.started_at) == ("queued", 0, None)
    hold = hold_of(registry)
    assert registry.release(hold, None, unread=True) == "released", "it had not begun"
    hold = hold_of(registry)
    registry.begin(hold, "w", "null")
    assert registry.release(hold, EngineFailed().info, is_retry=True) == "released"
    hold = hold_of(registry)
    assert registry.begin(hold, "w", "null").number == 2
    started = registry.status(given.id).started_at
    assert registry.release(hold, WorkerStopping().info, unread=True) == "released"
    assert (registry.status(given.id).attempts, registry.status(given.id).started_at) == (1, started)


def test_a_job_that_is_never_begun_is_poison_at_last(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    for _ in range(20):
        end_lease(registry, hold_of(registry))
        found = registry.reclaim()
    assert found.poisonous == (given.id,)
    error = registry.status(given.id).error
    assert error is not None
    assert (error.code, "before it began" in error.message) == ("job.poison", True)


def test_a_job_with_a_route_that_is_poison_goes_to_its_next_engine(registry: WorkerRegistry) -> None:
    routed = make_route(job(fallback=("tesseract",)), registry.settings, {})
    submit(registry, routed)
    for _ in range(3):
        end_lease(registry, begun(registry))
        registry.reclaim()
    (part,) = take(registry).parts
    assert part.poison
    registry.begin(part.hold, "w", "null")
    onward = routed.model_copy(update={"engine": "tesseract"})
    assert registry.send_on(part.hold, onward, "null") == "sent"
    (part,) = take(registry, 1, "other", "ocr.tesseract").parts
    assert not part.poison
    registry.begin(part.hold, "w", "tesseract")
    assert registry.finish(part.hold, onward, succeeded(part.hold)) == "succeeded"


def routed_in_parts(registry: WorkerRegistry, pages: int) -> Job:
    """A job with a route that was split just now."""
    routed = make_route(job(fallback=("tesseract",), tenant="acme"), registry.settings, {})
    submit(registry, routed)
    assert registry.split(begun(registry), pages, "sha256") == "split"
    return routed


def gone_on(routed: Job) -> Job:
    assert routed.route is not None
    route = routed.route.after(Step(engine="null", attempt=1, pages=1))
    return routed.model_copy(update={"engine": "tesseract", "route": route})


def test_a_page_part_goes_on_to_the_next_engine_by_itself(registry: WorkerRegistry) -> None:
    routed = routed_in_parts(registry, 2)
    onward = gone_on(routed)
    first, second = begun(registry), begun(registry)
    for _ in range(2):
        assert registry.send_on(first, onward, "null", 1) == "sent"
    assert check(registry) == []
    assert registry.finish(second, routed, succeeded(second)) == "done"
    assert take(registry) == Taken()
    (part,) = take(registry, 1, "other", "ocr.tesseract").parts
    assert (part.hold.part, Job.model_validate_json(part.job)) == (first.part, onward)
    # its attempts are counted on, and what they are of is its own page
    start = registry.begin(part.hold, "w", "tesseract")
    assert (start.number, start.pages, start.pin) == (2, 2, "sha256")
    assert registry.send_on(first, onward, "null") == "gone"
    end_lease(registry, part.hold)
    assert registry.reclaim().requeued == (first.part,)
    again = hold_of(registry, "other", "ocr.tesseract")
    assert registry.begin(again, "w", "tesseract").number == 3
    assert registry.finish(again, onward, succeeded(again), next_token="closing") == "close"
    closing = Hold(routed.id, "closing")
    assert registry.finish(closing, routed, succeeded(closing)) == "succeeded"
    assert registry.send_on(again, onward, "tesseract") == "ended"
    # each page once, for the engine that has read it
    pages = {
        engine: sum(map(int, registry.client.hvals(registry.keys.pages(engine)))) for engine in ("null", "tesseract")
    }
    assert pages == {"null": 2, "tesseract": 1}
    assert check(registry) == []


def test_a_page_part_that_comes_into_the_lane_rings_there_whoever_made_room_for_it(registry: WorkerRegistry) -> None:
    onward = gone_on(routed_in_parts(registry, 100))
    bell = f"{registry.keys.root}bell:{LANE}"
    while parts := take(registry).parts:
        (part,) = parts
        assert registry.begin(part.hold, "worker@host", "null").verdict == "run"
        assert registry.send_on(part.hold, onward, "null", 1) == "sent"
    # a worker of the first engine has heard the last ring, found nothing, and listens
    registry.client.delete(bell)
    waiting = f"{registry.keys.root}waiting"
    while registry.client.hget(waiting, LANE) == b"0":
        assert not registry.client.exists(bell)
        assert take(registry, 1, "other", onward.queue).parts
    assert registry.client.llen(bell) == 1
    assert take(registry).parts
    registry.cancel(part.hold.job_id)


def taken_down(registry: WorkerRegistry, lane: str) -> tuple[str, ...]:
    """The next part of the lane takes three workers down; what was poison of it."""
    for _ in range(3):
        hold = hold_of(registry, "holder", lane)
        registry.begin(hold, "w", lane.removeprefix("ocr."))
        end_lease(registry, hold)
        found = registry.reclaim()
    return found.poisonous


def test_a_page_part_that_is_poison_goes_to_its_next_engine(registry: WorkerRegistry) -> None:
    routed = routed_in_parts(registry, 1)
    page = f"{routed.id}:00001"
    assert taken_down(registry, LANE) == (page,)
    assert check(registry) == []
    (part,) = take(registry).parts
    assert (part.hold.part, part.poison) == (page, True)
    registry.begin(part.hold, "w", "null")
    assert registry.send_on(part.hold, gone_on(routed), "null") == "sent"
    assert taken_down(registry, "ocr.tesseract") == (page,)
    # whoever takes it now looks at what stands, and reads nothing; it is taken down by that no more than once
    assert taken_down(registry, "ocr.tesseract") == (page,)
    (part,) = take(registry).parts
    assert (part.hold.part, part.closing, part.poison) == (routed.id, True, False)
    assert check(registry) == []


def test_pages_that_wait_for_the_next_engine_are_cancelled_with_the_others(registry: WorkerRegistry) -> None:
    routed = routed_in_parts(registry, 40)
    for _ in range(3):
        assert registry.send_on(begun(registry), gone_on(routed), "null", 1) == "sent"
    assert check(registry) == []
    assert registry.cancel(routed.id) == "cancelled"
    assert take(registry, 1, "other", "ocr.tesseract") == take(registry) == Taken()
    assert check(registry) == []


def test_a_page_that_is_sent_on_once_its_job_is_to_stop_goes_nowhere(registry: WorkerRegistry) -> None:
    routed = routed_in_parts(registry, 2)
    page = begun(registry)
    registry.cancel(routed.id)
    assert registry.send_on(page, gone_on(routed), "null", 1) == "cancelled"
    assert registry.status(routed.id).state == "cancelled"
    assert check(registry) == []


def test_of_a_batch_whose_answer_was_lost_the_same_parts_come_again(registry: WorkerRegistry) -> None:
    jobs = [job() for _ in range(4)]
    submit(registry, *jobs)
    first = registry.take("token", "holder", [(LANE, 3)])
    again = registry.take("token", "holder", [(LANE, 3)])
    assert [part.hold for part in again.parts] == [part.hold for part in first.parts]
    assert [part.hold.part for part in first.parts] == [one.id for one in jobs[:3]]
    # nobody has heard of the lease of a batch that was lost with its worker
    end_lease(registry, *(part.hold for part in first.parts))
    assert set(registry.reclaim().requeued) == {one.id for one in jobs[:3]}
    assert all_parts(registry) == [one.id for one in jobs]
    assert not registry.client.hexists(registry.keys.hand("holder"), "token")


def test_a_batch_is_no_larger_than_a_child_s_share_of_what_waits(registry: WorkerRegistry) -> None:
    submit(registry, *[job() for _ in range(15)])

    def taken(most: int, children: int) -> int:
        return len(registry.take(uuid.uuid4().hex, "holder", [(LANE, most)], children).parts)

    assert taken(4, 2) == 4, "each may have 7"
    assert [taken(8, 2) for _ in range(3)] == [6, 3, 1], "of 11, 5 and 2"
    assert [taken(8, 2), taken(8, 2)] == [1, 0]
    submit(registry, *[job() for _ in range(8)])
    registry.client.hset(registry.keys.children(), LANE, 4)
    assert [taken(8, 1) for _ in range(3)] == [2, 2, 1], "other workers have children too"
    registry.client.hset(registry.keys.children(), LANE, 0)
    assert taken(8, 1) == 3


def test_of_some_kinds_a_child_gets_more_than_of_others(registry: WorkerRegistry) -> None:
    english, korean = [job() for _ in range(10)], [job(languages=("kor",)) for _ in range(3)]
    submit(registry, *english[:7], korean[0], *english[7:], *korean[1:])
    of_kinds = {LANE: {english[0].kind: 4}}

    def taken(children: int = 1) -> list[str]:
        answer = registry.take(uuid.uuid4().hex, "holder", [(LANE, 1)], children, of_kinds)
        assert {part.kind for part in answer.parts} in ({english[0].kind}, {korean[0].kind})
        return [part.hold.part for part in answer.parts]

    assert taken(13) == [english[0].id], "no more than its share"
    assert taken(6) == [one.id for one in english[1:3]], "of 12"
    assert taken() == [one.id for one in english[3:7]]
    assert taken() == [korean[0].id]
    assert [len(taken()) for _ in range(3)] == [3, 1, 1]


def test_no_lane_gives_more_than_others_while_they_wait_too(registry: WorkerRegistry) -> None:
    high, low = [job(priority="high") for _ in range(10)], [job(priority="low") for _ in range(10)]
    submit(registry, *high, *low)
    of_kinds = {"ocr.null.high": {high[0].kind: 8}, "ocr.null.low": {high[0].kind: 8}}

    def taken(*lanes: str) -> int:
        return len(registry.take(uuid.uuid4().hex, "holder", [(lane, 1) for lane in lanes], 1, of_kinds).parts)

    assert [taken(*LANES), taken(*reversed(LANES))] == [1, 1]
    registry.client.hset(registry.keys.turns(), "lane:ocr.null.low", "1")
    assert taken(*LANES) == 8, "nothing is to be had there"
    registry.client.hdel(registry.keys.turns(), "lane:ocr.null.low")
    assert [taken(*LANES), taken(*LANES)] == [1, 8]


def test_jobs_are_begun_in_one_trip_also_where_redis_has_forgotten_the_script(registry: WorkerRegistry) -> None:
    jobs = [job() for _ in range(3)]
    submit(registry, *jobs)
    holds = [part.hold for part in take(registry, 3).parts]
    registry.cancel(jobs[1].id)
    registry.client.script_flush()
    started = registry.begin_each(holds, "w", "null")
    assert [start.verdict for start in started] == ["run", "ended", "run"]
    assert registry.begin_each(holds, "w", "null") == started
    assert registry.begin_each(holds[:1], "w", "null") == started[:1]


def test_of_many_who_take_at_once_each_part_is_one_s(registry: WorkerRegistry) -> None:
    jobs = [job(tenant=tenant) for tenant in ("", "a", "b") for _ in range(100)]
    submit(registry, *jobs)

    def run(number: int) -> list[str]:
        return [part.hold.part for _ in range(60) for part in take(registry, 3, f"holder-{number}").parts]

    with ThreadPoolExecutor(5) as pool:
        taken = [part for parts in pool.map(run, range(5)) for part in parts]
    assert sorted(taken) == sorted(one.id for one in jobs)


def test_a_batch_is_of_the_lane_that_was_asked_for_first(registry: WorkerRegistry) -> None:
    low, high = job(priority="low"), job(priority="high")
    submit(registry, low, high)
    assert take(registry, 8).lane == "ocr.null.high"
    assert take(registry, 8).lane == "ocr.null.low"


def test_what_was_submitted_before_a_job_that_breaks_off_is_told_of(registry: WorkerRegistry) -> None:
    """Else it waits until somebody looks by chance: a worker without work listens at the bell."""
    registry.client.set(f"{registry.keys.root}by_tag:theirs", "another program's")
    lanes = {"high": "ocr.null.high", "normal": "ocr.null"}
    before = [job(priority=priority) for priority in lanes]
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        submit(registry, *before, job(tag="theirs", priority="low"), job())
    assert [registry.client.llen(f"{registry.keys.root}bell:{lane}") for lane in lanes.values()] == [1, 1]
    assert all_parts(registry)[:2] == [one.id for one in before]
    registry.client.delete(f"{registry.keys.root}by_tag:theirs")


@pytest.mark.parametrize("most", [1, 8])
def test_a_lane_full_of_what_has_no_record_holds_redis_up_for_a_moment_at_a_time(
    registry: WorkerRegistry, most: int
) -> None:
    waiting = [f"job-{number:04}" for number in range(2500)]
    submit(registry, *(job(id=name) for name in waiting), good := job())
    registry.client.delete(*map(registry.keys.record, waiting))
    bell = f"{registry.keys.root}bell:{LANE}"
    rounds, left = 0, 2501
    while True:
        registry.client.delete(bell)
        if found := take(registry, most).parts:
            break
        assert registry.client.llen(bell) == 1, "somebody is to go on at once"
        before, left = left, int(registry.client.hget(f"{registry.keys.root}waiting", LANE) or 0)
        assert 1000 <= before - left <= 1000 + 4 * most
        rounds += 1
    assert rounds == 2
    assert [part.hold.part for part in found] == [good.id]


def test_a_retry_waits_for_its_pause_and_is_counted(registry: WorkerRegistry) -> None:
    given, later = job(), job()
    submit(registry, given)
    hold = begun(registry)
    assert registry.release(hold, SourceUnavailable().info, pause_s=60, is_retry=True) == "released"
    submit(registry, later)
    assert reclaimed(registry).due == 0
    end_pauses(registry)
    assert reclaimed(registry).due == 1
    hold = hold_of(registry)
    assert hold.part == given.id, "it has its old place"
    start = registry.begin(hold, "w", "null")
    assert (start.verdict, start.number, start.retries) == ("run", 2, 1)


def test_a_job_cancelled_in_its_pause_does_not_come_back(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    registry.release(begun(registry), SourceUnavailable().info, pause_s=60, is_retry=True)
    assert registry.cancel(given.id) == "cancelled"
    assert registry.client.zcard(registry.keys.delayed()) == 0
    assert (reclaimed(registry).due, take(registry)) == (0, Taken())


def test_a_split_job_is_cancelled_whole(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    opening = hold_of(registry)
    registry.begin(opening, "w", "null")
    registry.split(opening, 100, "sha256")
    running, taken = hold_of(registry), hold_of(registry)
    registry.begin(running, "w", "null")
    assert registry.cancel(given.id) == "running"
    assert registry.begin(taken, "w", "null").verdict != "run"
    assert registry.progress(running, 0, 1) == "stop"
    cancelled = Outcome(job_id=given.id, state="cancelled")
    assert registry.finish(running, given, cancelled) == "cancelled"
    assert registry.status(given.id).state == "cancelled"
    assert take(registry) == Taken()


class Chaos:
    """Random moves, right and wrong, with old and new tokens."""

    def __init__(self, registry: WorkerRegistry, seed: int) -> None:
        self.registry = registry
        self.chance = random.Random(seed)
        self.jobs: dict[str, Job] = {}
        self.holds: list[Hold] = []

    def step(self) -> None:
        with_hold = [
            self.begin,
            self.begin,
            self.split,
            self.send_on,
            self.release,
            self.finish,
            self.lose,
            self.cancel,
            self.reclaim,
        ]
        moves = [self.submit, self.submit, self.take, self.take, self.take, *(with_hold if self.holds else ())]
        self.chance.choice(moves)()

    def hold(self) -> Hold:
        return self.chance.choice(self.holds)

    def submit(self) -> None:
        tenant, priority = self.chance.choice(["", "a", "b"]), self.chance.choice(["high", "normal", "low"])
        made = job(tenant=tenant, priority=priority)
        self.jobs[made.id] = made
        submit(self.registry, made)

    def take(self) -> None:
        self.holds.extend(part.hold for part in take(self.registry, self.chance.choice([1, 1, 3])).parts)

    def begin(self) -> None:
        self.registry.begin(self.hold(), "w", "null")

    def split(self) -> None:
        if ":" not in (hold := self.hold()).part:
            self.registry.split(hold, self.chance.choice([1, 2, 50]), "pin")

    def send_on(self) -> None:
        hold = self.hold()
        self.registry.send_on(hold, self.jobs[hold.job_id], "null", 1)

    def release(self) -> None:
        pause, alone = self.chance.choice([0.0, 0.0, 60.0]), self.chance.random() < 0.3
        self.registry.release(self.hold(), None, pause_s=pause, is_retry=pause > 0, alone=alone)

    def finish(self) -> None:
        hold, token = self.hold(), uuid.uuid4().hex
        if self.registry.finish(hold, self.jobs[hold.job_id], succeeded(hold), next_token=token) == "close":
            self.holds.append(Hold(hold.job_id, token))

    def lose(self) -> None:
        self.registry.lost([self.hold()])

    def cancel(self) -> None:
        self.registry.cancel(self.hold().job_id)

    def reclaim(self) -> None:
        end_lease(self.registry, self.hold())
        self.registry.reclaim()
        for part in self.registry.client.zrange(self.registry.keys.delayed(), 0, 3):
            self.registry.client.zadd(self.registry.keys.delayed(), {part: 1})

    def end_all(self) -> None:
        """From now on all goes well."""
        end_pauses(self.registry)
        leases = self.registry.client.zrange(self.registry.keys.leases(), 0, -1)
        end_lease(self.registry, *(Hold(part.decode(), "") for part in leases))
        for _ in itertools.repeat(None, 50):
            self.registry.reclaim()
        while parts := take(self.registry, 5).parts:
            for part in parts:
                self.registry.begin(part.hold, "w", "null")
                self._finish_at_last(part.hold)

    def _finish_at_last(self, hold: Hold) -> None:
        made = self.jobs[hold.job_id]
        if self.registry.finish(hold, made, succeeded(hold), next_token="last") == "close":
            closing = Hold(made.id, "last")
            self.registry.finish(closing, made, succeeded(closing))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_in_whatever_order_every_part_is_in_one_place(registry: WorkerRegistry, seed: int) -> None:
    """The rules hold after each few moves, and all jobs end."""
    chaos = Chaos(registry, seed)
    for number in range(600):
        chaos.step()
        if number % 50 == 49:
            assert check(registry) == []
    chaos.end_all()
    assert {status.finished for status in registry.statuses(list(chaos.jobs)) if status is not None} == {True}


def test_what_was_read_is_told_also_to_a_redis_that_has_lost_the_job(registry: WorkerRegistry) -> None:
    given, cancelled = job(tag="mine", reply_to="replies"), job()
    submit(registry, given, cancelled)
    hold = hold_of(registry)
    registry.begin(hold, "w", "null")
    registry.client.delete(*registry.client.keys(f"{registry.settings.key_prefix}*"))
    assert registry.finish(hold, given, succeeded(hold), by_name=True) == "succeeded"
    status = registry.status(given.id)
    assert (status.state, status.tag, status.result) == ("succeeded", "mine", "file:///result.json")
    assert registry.client.llen(registry.keys.foreign("replies")) == 1
    assert registry.client.exists(registry.keys.foreign(f"celery-task-meta-{given.id}"))
    # what has ended is not begun anew by that
    registry.client.delete(registry.keys.record(given.id))
    assert registry.finish(hold, given, succeeded(hold)) == "gone"


def test_what_a_take_took_whose_answer_has_not_come_can_be_given_back(registry: WorkerRegistry) -> None:
    first, second = job(), job()
    submit(registry, first, second)
    registry.take("token", "holder", [(LANE, 2)])
    assert registry.taken("holder", "other token") == registry.taken("other", "token") == []
    holds = registry.taken("holder", "token")
    assert [hold.part for hold in holds] == [first.id, second.id]
    assert [registry.give_back_unbegun(hold) for hold in holds] == ["released", "released"]
    assert registry.taken("holder", "token") == []
