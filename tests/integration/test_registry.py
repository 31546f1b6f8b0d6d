"""What apps and operators see of jobs in a real Redis: records, ends, events, who works and what waits."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest

from ocrqueue.core import (
    EngineOffer,
    Hold,
    Outcome,
    Registry,
    WorkerInfo,
    WorkerRegistry,
    known_engines,
    live_workers,
    queues,
)
from ocrqueue.core.check import check
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.core.installation import dismiss_worker, note_children
from ocrqueue.core.script_arguments import Used
from ocrqueue.errors import (
    BrokerUnavailable,
    EngineFailed,
    ImageEmpty,
    JobEnded,
    JobPoison,
    JobUnknown,
    OcrQueueError,
    QueueFull,
    SourceUnavailable,
)
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.settings.per_engine import PerEngine
from tests.support.moves import LANE, all_parts, begun, hold_of, job, reclaimed, submit, succeeded, take
from tests.support.processes import free_port, wait_until


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """Under which a worker that beats but once stays live, and on duty: a busy machine asks late."""
    return settings.model_copy(update={"worker_heartbeat_s": 600.0, "lost_after_s": 1800.0})


@pytest.fixture
def given(registry: WorkerRegistry) -> Job:
    made = job(image="https://user:secret@example.org/scan.png?signature=secret", tag="invoice 7", tenant="acme")
    assert submit(registry, made) == [made.id]
    return made


@contextmanager
def memory_limit_reached(registry: WorkerRegistry) -> Iterator[None]:
    registry.client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        registry.client.config_set("maxmemory", 0)


def failed(made: Job, error: type[OcrQueueError] = EngineFailed) -> Outcome:
    return Outcome(job_id=made.id, state="failed", error=error().info)


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_submitted_job_is_queued_for_as_long_as_it_takes(registry: WorkerRegistry, given: Job) -> None:
    status = registry.status(given.id)
    assert (status.state, status.engine, status.tag, status.queue) == ("queued", "null", "invoice 7", LANE)
    assert status.tenant == "acme"
    assert abs((datetime.now(UTC) - status.queued_at).total_seconds()) < 5
    assert registry.client.zcard(registry.keys.queue(LANE, "acme")) == 1
    assert registry.client.pttl(registry.keys.record(given.id)) == -1, "it never expires before its end"
    assert registry.jobs([given.id, "never"]) == [given, None]


def test_a_status_never_shows_the_secrets_of_a_reference(registry: WorkerRegistry, given: Job) -> None:
    assert "secret" not in registry.status(given.id).model_dump_json()


def test_an_id_never_submitted_is_unknown(registry: WorkerRegistry) -> None:
    for call in (registry.status, registry.cancel):
        with pytest.raises(JobUnknown) as error:
            call("never")
        assert error.value.code == "job.unknown"
    assert list(registry.statuses(["never"])) == [None]


def test_an_id_that_has_ended_is_told_apart_from_one_never_heard_of(registry: WorkerRegistry, given: Job) -> None:
    registry.cancel(given.id)
    registry.client.delete(registry.keys.record(given.id))
    for call in (registry.status, registry.cancel):
        with pytest.raises(JobEnded):
            call(given.id)


def test_the_way_of_a_job_that_succeeds(registry: WorkerRegistry, given: Job) -> None:
    hold = begun(registry)
    assert registry.progress(hold, 1, 3) == "go on"
    running = registry.status(given.id)
    assert (running.state, running.worker, running.pages_done, running.pages) == ("running", "worker@host", 1, 3)
    outcome = succeeded(hold).model_copy(update={"words": 3, "mean_confidence": 0.9})
    assert registry.finish(hold, given, outcome) == "succeeded"
    ended = registry.status(given.id)
    assert (ended.state, ended.result, ended.words, ended.attempts) == ("succeeded", "file:///result.json", 3, 1)
    assert ended.finished
    assert ended.queued_at <= ended.started_at <= ended.finished_at  # type: ignore[operator]  # all three are there at the end
    assert 0 < registry.client.pttl(registry.keys.record(given.id)) <= registry.settings.record_ttl_s * 1000


def test_an_end_stands(registry: WorkerRegistry, given: Job) -> None:
    hold = begun(registry)
    registry.finish(hold, given, succeeded(hold))
    assert registry.finish(hold, given, failed(given)) == "succeeded"
    assert registry.cancel(given.id) == "succeeded"
    assert registry.release(hold, SourceUnavailable().info) == "ended"
    assert registry.send_on(hold, given, "null") == "ended"
    assert registry.begin(hold, "w", "null").verdict == "ended"
    assert registry.status(given.id).error is None


def test_two_ends_at_once_are_one(registry: WorkerRegistry, given: Job) -> None:
    hold = begun(registry)
    outcomes = [succeeded(hold), failed(given)] * 10
    with ThreadPoolExecutor(20) as pool:
        states = set(pool.map(lambda outcome: registry.finish(hold, given, outcome), outcomes))
    assert len(states) == 1
    assert registry.status(given.id).state in states
    assert registry.client.hvals(registry.keys.ended("null")) == [b"1"]


def test_a_record_of_a_newer_version_is_told_as_far_as_it_is_understood(registry: WorkerRegistry, given: Job) -> None:
    record = registry.keys.record(given.id)
    future = given.model_dump(mode="json") | {"engine": "null", "surprise": {"x": 1}, "crops": "holographic"}
    text = str(future).replace("'", '"').replace("None", "null").replace("True", "true").replace("False", "false")
    registry.client.hset(record, mapping={"state": "archived", "job": text, "progress": "many", "history": "{}"})
    status = registry.status(given.id)
    assert (status.state, status.tag, status.engine, status.finished) == ("unknown", "invoice 7", "null", False)
    assert [found.id for found in registry.statuses([given.id]) if found] == [given.id]
    assert queues(registry)
    hold = hold_of(registry)
    registry.client.hset(registry.keys.record(given.id), "error", '{"code": 5}')
    assert registry.status(given.id).error is None
    registry.client.zadd(registry.keys.leases(), {given.id: 1})
    assert reclaimed(registry).requeued == (given.id,)
    registry.begin(hold := hold_of(registry), "w", "null")
    assert registry.finish(hold, given, succeeded(hold)) == "succeeded"


@pytest.mark.parametrize("field", ["state", "job", "queued_at", "progress", "outcome", "history", "error", "attempts"])
def test_no_value_of_a_record_makes_it_unreadable(registry: WorkerRegistry, given: Job, field: str) -> None:
    whole = registry.client.hgetall(registry.keys.record(given.id))
    for value in (
        b"",
        b"\xff",
        b"[]",
        b"-1",
        b"1e99",
        b"9" * 400,
        "²".encode(),
        b"[" * 10_000,
        b'{"job_id": 5}',
        b"1/2/3",
    ):
        registry.client.hset(registry.keys.record(given.id), field, value)
        assert registry.status(given.id).id == given.id
        assert len(registry.jobs([given.id])) == 1
    registry.client.hset(registry.keys.record(given.id), mapping=whole)


def test_a_job_whose_record_is_gone_is_never_run(registry: WorkerRegistry) -> None:
    gone, kept = job(), job()
    submit(registry, gone, kept)
    registry.client.delete(registry.keys.record(gone.id))
    assert all_parts(registry) == [kept.id]
    assert registry.client.hget(registry.keys.waiting(), LANE) == b"0"


def test_a_page_part_whose_job_is_gone_is_never_run(registry: WorkerRegistry) -> None:
    gone, kept = job(), job()
    submit(registry, gone)
    registry.split(begun(registry), 3, "sha256")
    submit(registry, kept)
    registry.client.delete(registry.keys.record(gone.id), registry.keys.open_parts(gone.id))
    registry.client.zrem(registry.keys.split(), gone.id)
    assert all_parts(registry) == [kept.id]


# --- submission -------------------------------------------------------------------------------------------------------


def test_the_same_id_submitted_twice_is_one_job(registry: WorkerRegistry, given: Job) -> None:
    assert submit(registry, given, given) == [given.id, given.id]
    assert all_parts(registry) == [given.id]


def test_fifty_submitters_with_one_idempotency_key_get_one_job(registry: WorkerRegistry) -> None:
    def submit_one(_: int) -> str:
        (job_id,) = submit(registry, job(idempotency_key="order 1"))
        return job_id

    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(submit_one, range(50)))
    assert all_parts(registry) == [*ids]


def test_an_idempotency_key_holds_for_as_long_as_its_job_is_remembered(registry: WorkerRegistry) -> None:
    first, second = job(idempotency_key="order 2"), job(idempotency_key="order 2")
    submit(registry, first)
    registry.cancel(first.id)
    registry.client.delete(registry.keys.record(first.id))
    assert submit(registry, second) == [first.id], "its record has expired, and its end is remembered"
    for day in registry.client.smembers(registry.keys.ended_days()):
        registry.client.delete(registry.keys.ended_ids(int(day)))
    registry.client.delete(registry.keys.by_state("cancelled"))
    assert submit(registry, second) == [second.id]


def test_every_tenant_has_idempotency_keys_of_its_own(registry: WorkerRegistry) -> None:
    jobs = [job(tenant=tenant, idempotency_key="order 3") for tenant in ("", "a", "b")]
    assert submit(registry, *jobs) == [one.id for one in jobs]
    again = [job(tenant=tenant, idempotency_key="order 3") for tenant in ("", "a", "b")]
    assert submit(registry, *again) == [one.id for one in jobs]


def test_a_cancelled_job_makes_room_at_once(settings: WorkerSettings) -> None:
    limited = settings.model_copy(update={"max_queue_length": PerEngine(2)})
    with closing(WorkerRegistry(limited)) as registry:
        first, second, third = job(), job(priority="low"), job(priority="high")
        submit(registry, first, second)
        with pytest.raises(QueueFull):
            submit(registry, third)
        assert registry.cancel(second.id) == "cancelled"
        assert submit(registry, third) == [third.id]
        with pytest.raises(QueueFull):
            submit(registry, job())
        assert all_parts(registry) == [third.id, first.id]


def test_what_goes_on_with_a_job_works_at_the_memory_limit_and_nothing_is_added(
    registry: WorkerRegistry, given: Job
) -> None:
    cancelled, split = job(tenant="b"), job(tenant="c")
    submit(registry, cancelled, split)
    with memory_limit_reached(registry):
        with pytest.raises(BrokerUnavailable, match="memory limit"):
            submit(registry, job(id="new", idempotency_key="k"))
        assert not registry.client.exists(registry.keys.record("new"), registry.keys.once("", "k"))
        hold = begun(registry)
        assert hold.part == given.id
        assert registry.heartbeat("holder", "{}", [hold], 5).answers == ("yours",)
        assert registry.progress(hold, 1, 2) == "go on"
        assert registry.release(hold, SourceUnavailable().info, pause_s=0.001, is_retry=True) == "released"
        wait_until(lambda: registry.reclaim().due == 1, 60, "its pause is over")
        assert registry.cancel(cancelled.id) == "cancelled"
        opening = begun(registry)
        assert registry.split(opening, 1, "pin") == "split"
        taken = {hold.part: hold for hold in (begun(registry), begun(registry))}
        page, again = taken[f"{split.id}:00001"], taken[given.id]
        assert registry.finish(page, split, succeeded(page), next_token="closing") == "close"
        assert registry.lost([again]) == ["requeued"]
        assert registry.send_on(begun(registry), given, "null") == "sent"
        last = begun(registry)
        assert registry.finish(last, given, succeeded(last)) == "succeeded"


# --- what is counted and told -----------------------------------------------------------------------------------------


def test_every_end_is_counted_once_by_period_minute_and_day(registry: WorkerRegistry) -> None:
    jobs = [job(tenant="acme") for _ in range(3)]
    submit(registry, *jobs)
    used = Used(pages=2, cpu_s=1.5, size_bytes=123_456_789, cost=0.25)
    for made in jobs[:2]:
        hold = begun(registry)
        for _ in range(2):
            registry.finish(hold, made, succeeded(hold).model_copy(update={"pages": 2}), used)
    hold = begun(registry)
    registry.finish(hold, jobs[2], failed(jobs[2]), Used())
    client, keys = registry.client, registry.keys
    seconds, _ = client.time()
    usage = client.hgetall(keys.usage(seconds // 86400, "acme"))
    assert {name.decode(): float(value) for name, value in usage.items()} == {
        "jobs": 3,
        "pages": 4,
        "cpu_s": 3,
        "bytes": 246_913_578,
        "cost": 0.5,
    }
    minutes = [client.hgetall(keys.minute(seconds // 60 - ago)) for ago in (0, 1)]
    counted = {
        what: sum(int(minute.get(f"null:{what}".encode(), 0)) for minute in minutes)
        for what in ("ended", "pages", "failed")
    }
    assert counted == {"ended": 3, "pages": 4, "failed": 1}
    assert sum(map(int, client.hvals(keys.ended("null")))) == 3
    assert sum(map(int, client.hvals(keys.pages("null")))) == 4
    assert sum(map(int, client.hvals(keys.errors("null")))) == 1
    assert sum(map(int, client.hvals(keys.waits("null")))) == 3
    for key in (keys.ended("null"), keys.waits("null"), keys.errors("null")):
        assert 0 < client.pttl(key) <= 310_000
    assert 399 * 86400 < client.ttl(keys.usage(seconds // 86400, "acme")) <= 400 * 86400


def test_a_result_from_the_cache_is_no_page_that_the_engine_read(registry: WorkerRegistry, given: Job) -> None:
    hold = begun(registry)
    registry.finish(hold, given, succeeded(hold).model_copy(update={"cached": True}))
    assert registry.client.hvals(registry.keys.pages("null")) == []


def test_events_are_published_on_shared_channels(registry: WorkerRegistry, given: Job) -> None:
    heard: list[bytes] = []
    subscribed = threading.Event()

    def listen() -> None:
        with registry.client.pubsub(ignore_subscribe_messages=True) as events:
            events.subscribe(registry.keys.events(given.id))
            events.get_message(timeout=60)
            subscribed.set()
            while len(heard) < 3 and (message := events.get_message(timeout=60)):
                heard.append(message["data"])

    listener = threading.Thread(target=listen)
    listener.start()
    assert subscribed.wait(60)
    hold = begun(registry)
    registry.progress(hold, 1, 2)
    registry.finish(hold, given, succeeded(hold))
    listener.join(60)
    assert heard == [f"{given.id} {what}".encode() for what in ("running", "running 1/2", "succeeded")]


# --- the installation -------------------------------------------------------------------------------------------------


def test_workers_announce_themselves_and_are_forgotten(registry: WorkerRegistry) -> None:
    worker = WorkerInfo(
        name="mine-1@host",
        holder="one",
        queues=("ocr.mine",),
        engines=(EngineOffer(name="mine", version="1", model="m", languages=("eng",)),),
        concurrency=2,
        pid=1,
        started_at=datetime.now(UTC),
    )
    text = worker.model_dump_json(exclude={"seen_at"})
    registry.heartbeat("one", text, [])
    assert [found.name for found in live_workers(registry)] == ["mine-1@host"]
    assert set(known_engines(registry)) == {"tesseract", "keras", "rapid", "vision", "null", "mine"}
    seconds, _ = registry.client.time()
    registry.client.hset(registry.keys.workers(), "newer", f'{seconds}000 {{"some": "future"}}')
    registry.client.hset(registry.keys.workers(), "stale", f"1000 {text}")
    registry.client.hset(registry.keys.workers(), "garbage", b"\xff\xfe")
    assert [found.name for found in live_workers(registry)] == ["mine-1@host"]
    assert set(registry.client.hkeys(registry.keys.workers())) == {b"one", b"newer"}
    # a container's next worker has the same name, and is another instance
    registry.heartbeat("two", text, [])
    dismiss_worker(registry, "one")
    assert [found.name for found in live_workers(registry)] == ["mine-1@host"]
    registry.heartbeat("three", text, [])
    note_children(registry, live_workers(registry))
    assert registry.client.hgetall(registry.keys.children()) == {b"ocr.mine": b"4"}
    dismiss_worker(registry, "two")
    dismiss_worker(registry, "three")
    assert live_workers(registry) == []
    note_children(registry, live_workers(registry))
    assert not registry.client.exists(registry.keys.children())


def test_a_move_names_as_many_as_there_are(registry: WorkerRegistry, given: Job) -> None:
    """More than Lua's stack holds, which is some 8,000 values."""
    hold = begun(registry)
    strangers = [Hold(f"gone-{number}", "token") for number in range(9000)]
    answers = registry.heartbeat("holder", "", [*strangers, hold]).answers
    assert (len(answers), answers[-1]) == (9001, "yours")
    assert registry.lost([*strangers, hold])[-1] == "requeued"
    registry.ring_again([f"lane-{number}" for number in range(9000)])
    assert registry.client.llen(f"{registry.keys.root}bell:lane-8999") == 1
    holders = [f"holder-{number}" for number in range(9000)]
    assert registry.run("drain", registry.arguments.drain(holders)) == 9000
    assert registry.heartbeat(holders[-1], "", []).drains
    assert [part.hold.part for part in take(registry).parts] == [given.id]


def test_the_shared_duties_are_one_workers_until_it_is_silent(registry: WorkerRegistry) -> None:
    assert not registry.heartbeat("unwilling", "", []).on_duty
    assert registry.heartbeat("one", "", [], 600).on_duty
    assert not registry.heartbeat("two", "", [], 600).on_duty
    assert registry.heartbeat("one", "", [], 600).on_duty
    registry.client.delete(f"{registry.keys.root}duty")
    assert registry.heartbeat("two", "", [], 600).on_duty
    assert not registry.heartbeat("one", "", [], 600).on_duty
    # Redis's clock was put back by an hour, and who had the duties is gone
    registry.client.pexpire(f"{registry.keys.root}duty", 3_600_000)
    assert registry.heartbeat("one", "", [], 600).on_duty


def test_queues_tell_the_length_the_tenants_and_the_oldest_job(registry: WorkerRegistry, given: Job) -> None:
    submit(registry, job(priority="high"), job(), job())
    registry.client.lpush(registry.keys.foreign("ocr.null.low"), b"not a message")
    by_name = {queue.name: queue for queue in queues(registry)}
    assert (by_name[LANE].waiting, by_name[LANE].tenants) == (3, {"": 2, "acme": 1})
    assert by_name[LANE].oldest_job == given.id
    assert by_name[LANE].oldest_wait_s is not None
    assert by_name["ocr.null.high"].waiting == 1
    low = by_name["ocr.null.low"]
    assert (low.waiting, low.foreign, low.oldest_job) == (0, 1, None)


def test_a_key_prefix_is_before_every_key(registry: WorkerRegistry, given: Job) -> None:
    before = set(registry.client.keys("*"))
    submit(registry, given)
    hold = begun(registry)
    registry.finish(hold, given, succeeded(hold), Used(1))
    reclaimed(registry)
    registry.remember_reading("k", "s3://b/r.json", given.id)
    assert registry.earlier_reading("k") == "s3://b/r.json"
    own = f"{registry.settings.key_prefix}ocrqueue:".encode()
    assert re.match(rb"test-[0-9a-f]{8}:", own)
    made = set(registry.client.keys("*")) - before
    assert any(key.startswith(own) for key in made)
    # workers of other tests make keys of their own at the same time
    others = {key for key in made if re.match(rb"test-[0-9a-f]{8}:", key) and not key.startswith(own[:14])}
    assert [key for key in made - others if not key.startswith(own)] == []


@pytest.mark.parametrize("what", ["nothing listens", "wrong password"])
def test_a_broker_that_refuses_is_an_error_within_seconds(settings: WorkerSettings, what: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    if what == "wrong password":
        url = settings.redis_url.get_secret_value().replace("secret-of-the-tests", "guess")
    with closing(Registry(load_worker_settings(redis_url=url))) as refused:
        with pytest.raises(BrokerUnavailable) as error:
            list(refused.submit([Job(image="s3://b/k")]))
        assert "guess" not in str(error.value)
        assert ("refuses the user or password" in str(error.value)) == (what == "wrong password")


# --- dead letters -----------------------------------------------------------------------------------------------------


def fail(registry: WorkerRegistry, error: type[OcrQueueError]) -> Job:
    made = job()
    submit(registry, made)
    registry.finish(begun(registry), made, failed(made, error))
    return made


def test_what_may_pass_is_a_dead_letter_and_a_bad_image_is_not(registry: WorkerRegistry) -> None:
    dead = [fail(registry, error) for error in (JobPoison, EngineFailed, SourceUnavailable)]
    fail(registry, ImageEmpty)
    letters = DeadLetters(registry)
    assert set(letters.ids()) == {one.id for one in dead}
    codes = {status.error.code for status in letters.list() if status.error}
    assert codes == {"source.unavailable", "engine.failed", "job.poison"}
    assert registry.client.pttl(registry.keys.record(dead[0].id)) > registry.settings.record_ttl_s * 1000


def test_a_replay_queues_the_job_anew_and_keeps_its_history(registry: WorkerRegistry) -> None:
    made, letters = fail(registry, JobPoison), DeadLetters(registry)
    for number in (1, 2):
        letters.replay(made.id)
        status = registry.status(made.id)
        assert (status.state, status.attempts, status.error) == ("queued", 0, None)
        assert [outcome.error.code for outcome in status.history if outcome.error] == ["job.poison"] * number
        assert letters.ids() == []
        assert registry.client.pttl(registry.keys.record(made.id)) == -1
        assert not isinstance(registry.why_unknown(made.id), JobEnded)
        # asked again because the answer was lost: it is queued once
        letters.replay(made.id)
        assert len(registry.status(made.id).history) == number
        start = registry.begin(hold := hold_of(registry), "w", "null")
        assert (start.number, start.may_be_stored) == (1, True)
        registry.finish(hold, made, failed(made, JobPoison))
    letters.replay(made.id)
    assert all_parts(registry) == [made.id]


def test_a_dropped_letter_is_gone_and_its_record_stays(registry: WorkerRegistry) -> None:
    made, letters = fail(registry, EngineFailed), DeadLetters(registry)
    assert letters.get(made.id).id == made.id
    assert letters.drop(made.id)
    assert letters.list() == []
    assert registry.status(made.id).state == "failed"
    assert not letters.drop(made.id), "it was dropped before"
    assert made.id not in letters
    assert letters.get(made.id).state == "failed"
    for call in (letters.drop, letters.replay):
        with pytest.raises(JobUnknown):
            call("nobody")
    letters.replay(made.id)
    assert registry.status(made.id).state == "queued"


def test_a_letter_whose_record_has_expired_is_forgotten(registry: WorkerRegistry) -> None:
    made, letters = fail(registry, EngineFailed), DeadLetters(registry)
    registry.client.delete(registry.keys.record(made.id))
    assert letters.list() == []
    assert letters.ids() == []
    assert take(registry).parts == ()


def test_a_letter_that_outlives_the_memory_of_its_end_is_no_fault(registry: WorkerRegistry) -> None:
    made = fail(registry, EngineFailed)
    for day in registry.client.smembers(registry.keys.ended_days()):
        registry.client.delete(registry.keys.ended_ids(int(day)))
    assert check(registry) == [f"{made.id} is failed, but not remembered as ended"]
    long_ago_s = registry.client.time()[0] - registry.settings.ended_ttl_s - 1
    registry.client.hset(registry.keys.record(made.id), "finished_at", long_ago_s * 1000)
    assert check(registry) == []


def test_a_token_that_no_part_has_is_a_fault(registry: WorkerRegistry) -> None:
    registry.client.hset(registry.keys.hand("holder"), "token", "ocr.null some-job")
    assert check(registry) == ["token is left in the hand of holder, but no part was taken with it"]
    registry.client.delete(registry.keys.hand("holder"))


def test_a_failure_of_a_job_that_was_asked_to_stop_is_its_cancel(registry: WorkerRegistry, given: Job) -> None:
    hold = begun(registry)
    assert registry.cancel(given.id) == "running"
    assert registry.finish(hold, given, failed(given)) == "stop"
    assert registry.status(given.id).state == "running", "nothing has happened"
    assert registry.finish(hold, given, Outcome(job_id=given.id, state="cancelled")) == "cancelled"


def test_a_result_that_is_stored_comes_before_a_cancel(registry: WorkerRegistry, given: Job) -> None:
    hold = begun(registry)
    registry.cancel(given.id)
    assert registry.finish(hold, given, succeeded(hold)) == "succeeded"


def test_a_job_is_not_split_into_nothing(registry: WorkerRegistry, given: Job) -> None:
    with pytest.raises(ValueError, match="0 page parts"):
        registry.split(begun(registry), 0, "pin")
