"""The record's life in a real Redis: every transition, and that no end is ever left."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from ocrqueue.core import (
    EngineOffer,
    Holder,
    Outcome,
    Published,
    Registry,
    StoredJob,
    WorkerInfo,
    known_engines,
    live_workers,
    queues,
)
from ocrqueue.core.celery_messages import job_in_message
from ocrqueue.core.installation import announce_worker, dismiss_worker
from ocrqueue.errors import BrokerUnavailable, EngineFailed, JobUnknown, SourceUnavailable
from ocrqueue.job import Job
from ocrqueue.settings import Settings, load_settings
from tests.support.processes import free_port, wait_until

WORKER = "tesseract-1@host"


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    registry = Registry(settings)
    yield registry
    registry.close()


@pytest.fixture
def job(registry: Registry) -> Job:
    job = Job(image="https://user:secret@example.org/scan.png?signature=secret", tag="invoice 7")
    assert list(registry.submit([job])) == [job.id]
    return job


def succeeded(job: Job) -> Outcome:
    return Outcome(job_id=job.id, state="succeeded", result="s3://b/r.json", pages=1, words=3, mean_confidence=0.9)


def failed(job: Job) -> Outcome:
    return Outcome(job_id=job.id, state="failed", error=EngineFailed().info)


def test_a_submitted_job_is_queued_with_its_message(registry: Registry, job: Job) -> None:
    status = registry.status(job.id)
    assert (status.state, status.engine, status.tag, status.queue) == ("queued", "tesseract", "invoice 7", job.queue)
    assert abs((datetime.now(UTC) - status.queued_at).total_seconds()) < 5
    assert registry.client.llen(registry.keys.queue(job.queue)) == 1
    assert 0 < registry.client.pttl(registry.keys.record(job.id)) <= registry.settings.queued_ttl_s * 1000
    assert registry.job(job.id) == job


def test_a_status_never_shows_the_secrets_of_a_reference(registry: Registry, job: Job) -> None:
    assert "secret" not in registry.status(job.id).model_dump_json()


def test_the_same_id_submitted_twice_is_one_message(registry: Registry, job: Job) -> None:
    assert list(registry.submit([job])) == [job.id]
    assert registry.client.llen(registry.keys.queue(job.queue)) == 1


def test_an_id_never_submitted_is_unknown(registry: Registry) -> None:
    with pytest.raises(JobUnknown) as error:
        registry.status("never")
    assert error.value.code == "job.unknown"
    with pytest.raises(JobUnknown):
        registry.cancel("never")
    assert list(registry.statuses(["never"])) == [None]


def test_the_way_of_a_job_that_succeeds(registry: Registry, job: Job) -> None:
    start = registry.begin(job, WORKER)
    assert (start.verdict, start.number) == ("run", 1)
    assert registry.progress(job.id, 1, 1, 3) == "go on"
    running = registry.status(job.id)
    assert (running.state, running.worker, running.pages_done, running.pages) == ("running", WORKER, 1, 3)
    assert registry.finish(job, succeeded(job)) == "succeeded"
    ended = registry.status(job.id)
    assert (ended.state, ended.result, ended.words, ended.attempts) == ("succeeded", "s3://b/r.json", 3, 1)
    assert ended.finished
    assert ended.queued_at <= ended.started_at <= ended.finished_at  # type: ignore[operator]
    assert 0 < registry.client.pttl(registry.keys.record(job.id)) <= registry.settings.record_ttl_s * 1000


def age(registry: Registry, job: Job, seconds: float) -> None:
    """Make the job's newest sign of life older."""
    registry.client.zincrby(registry.keys.running(), -seconds * 1000, job.id)


def test_an_end_stands(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    registry.finish(job, succeeded(job))
    assert registry.finish(job, failed(job)) == "succeeded"
    assert registry.cancel(job.id) == "succeeded"
    assert registry.release(job, SourceUnavailable().info, Holder(WORKER, 1)) == "ended"
    assert registry.begin(job, WORKER).verdict == "finished"
    assert registry.status(job.id).error is None


def test_two_ends_at_once_are_one(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    outcomes = [succeeded(job), failed(job)] * 10
    with ThreadPoolExecutor(20) as pool:
        states = set(pool.map(lambda outcome: registry.finish(job, outcome), outcomes))
    assert len(states) == 1
    assert registry.status(job.id).state in states


def test_the_fourth_delivery_of_a_job_that_kills_is_poison(registry: Registry, job: Job) -> None:
    for _ in range(3):
        assert registry.begin(job, WORKER).verdict == "run"
        assert registry.abandon(job.id, WORKER)
    start = registry.begin(job, WORKER)
    assert (start.verdict, start.number) == ("poison", 3)


def test_orderly_retries_do_not_count_as_lost_deliveries(registry: Registry, job: Job) -> None:
    for attempt in range(1, 8):
        start = registry.begin(job, WORKER)
        assert (start.verdict, start.number, start.retries) == ("run", attempt, 0)
        assert registry.release(job, SourceUnavailable("Try later.").info, Holder(WORKER, attempt)) == "released"
        waiting = registry.status(job.id)
        assert waiting.state == "queued"
        assert waiting.error is not None
        assert waiting.error.code == "source.unavailable"


def test_a_queued_job_cancelled_is_cancelled_at_once(registry: Registry, job: Job) -> None:
    assert registry.cancel(job.id) == "cancelled"
    assert registry.cancel(job.id) == "cancelled"
    assert registry.begin(job, WORKER).verdict == "finished"


def test_a_running_job_cancelled_is_told_at_its_next_step(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    assert registry.cancel(job.id) == "running"
    assert registry.status(job.id).cancel_requested
    assert registry.progress(job.id, 1, 0, 1) == "stop"
    registry.abandon(job.id, WORKER)
    assert registry.begin(job, WORKER).verdict == "cancelled"


def test_an_attempt_taken_for_lost_goes_on_until_another_begins(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    registry.abandon(job.id, WORKER)
    assert registry.progress(job.id, 1, 1, 2) == "go on"
    registry.begin(job, "other")
    assert registry.progress(job.id, 1, 1, 2) == "elsewhere"
    registry.finish(job, succeeded(job))
    assert registry.progress(job.id, 2, 1, 2) == "stop", "it has ended elsewhere"


def test_a_failure_of_an_attempt_taken_for_lost_does_not_count(registry: Registry, job: Job) -> None:
    registry.begin(job, "frozen")
    age(registry, job, 16)
    old, new, error = Holder("frozen", 1), Holder("other", 2), SourceUnavailable().info
    assert registry.begin(job, "other").verdict == "run"
    assert registry.finish(job, failed(job), old) == "elsewhere"
    assert registry.release(job, error, old, pause_s=1) == "elsewhere"
    assert registry.status(job.id).state == "running"
    registry.abandon(job.id, "other")
    assert registry.finish(job, failed(job), old) == "elsewhere", "it waits for its next delivery"
    assert registry.begin(job, "other").number == 3
    assert registry.finish(job, failed(job), new) == "elsewhere"
    assert registry.finish(job, succeeded(job)) == "succeeded", "a success does, whoever has it"


def test_a_second_delivery_of_a_job_at_a_living_worker_is_dropped(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    for _ in range(5):
        assert registry.begin(job, "other").verdict == "elsewhere"
    assert registry.status(job.id).worker == WORKER
    registry.heartbeat([job.id])
    age(registry, job, 16)
    assert registry.begin(job, "other").verdict == "run"


def test_a_delivery_whose_answer_was_lost_is_asked_for_again_and_counts_once(registry: Registry, job: Job) -> None:
    for _ in range(5):
        start = registry.begin(job, WORKER, delivery="the first")
        assert (start.verdict, start.number) == ("run", 1)
    assert registry.begin(job, WORKER, delivery="another").verdict == "elsewhere"


def test_only_the_worker_that_has_a_job_abandons_it(registry: Registry, job: Job) -> None:
    assert not registry.abandon(job.id, WORKER)
    registry.begin(job, WORKER)
    assert not registry.abandon(job.id, "other")
    assert registry.abandon(job.id, WORKER)
    assert registry.status(job.id).state == "queued"


def test_a_retry_waits_in_redis_and_is_put_first_in_its_lane(registry: Registry, job: Job) -> None:
    key = registry.keys.queue(job.queue)
    message = registry.client.rpop(key)
    registry.begin(job, WORKER)
    assert registry.release(job, SourceUnavailable().info, Holder(WORKER, 1), pause_s=60) == "released"
    assert registry.publish_due().jobs == 0
    assert registry.begin(job, WORKER).verdict == "elsewhere", "a message left over does not shorten the pause"
    list(registry.submit([Job(image="s3://b/later")]))
    registry.client.zincrby(registry.keys.delayed(), -61_000, job.id)
    assert registry.publish_due().jobs == 1
    assert registry.publish_due().jobs == 0
    first = registry.client.rpop(key)
    assert isinstance(first, bytes)
    assert isinstance(message, bytes)
    assert job_in_message(first) == job_in_message(message)
    start = registry.begin(job, WORKER)
    assert (start.verdict, start.number, start.retries) == ("run", 2, 1)


def test_who_puts_retries_back_hears_how_many_workers_do_so(registry: Registry) -> None:
    registry.client.hset(registry.keys.workers(), mapping={"one": "{}", "two": "{}"})
    assert registry.publish_due() == Published(jobs=0, workers=2)


def test_a_job_cancelled_in_its_pause_is_not_put_back(registry: Registry, job: Job) -> None:
    registry.client.delete(registry.keys.queue(job.queue))
    registry.begin(job, WORKER)
    registry.release(job, SourceUnavailable().info, Holder(WORKER, 1), pause_s=0.001)
    assert registry.cancel(job.id) == "cancelled"
    assert registry.client.zcard(registry.keys.delayed()) == 0
    assert registry.publish_due().jobs == 0
    assert registry.client.llen(registry.keys.queue(job.queue)) == 0


def test_a_job_whose_record_is_gone_gets_it_back_when_it_is_to_be_tried_again(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    registry.client.delete(registry.keys.record(job.id))
    assert registry.release(job, SourceUnavailable().info, Holder(WORKER, 1)) == "released"
    assert registry.status(job.id).state == "queued"
    assert registry.job(job.id) == job


def test_who_sent_a_job_by_name_is_told_of_it_after_a_retry_as_well(registry: Registry) -> None:
    job = Job(image="s3://b/k")
    registry.begin(job, WORKER, wants_summary=True)
    (stored,) = registry.stored_jobs([job.id])
    assert stored == StoredJob(job, wants_summary=True)
    registry.release(job, SourceUnavailable().info, Holder(WORKER, 1), wants_summary=True)
    message = registry.client.rpop(registry.keys.queue(job.queue))
    assert isinstance(message, bytes)
    assert json.loads(message)["headers"].get("ignore_result") is False


def test_what_goes_on_with_a_job_works_at_the_memory_limit_and_nothing_is_added(registry: Registry, job: Job) -> None:
    client = registry.client
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnavailable, match="memory limit"):
            list(registry.submit([Job(id="new", image="s3://b/k", idempotency_key="k")]))
        assert not client.exists(registry.keys.record("new"), registry.keys.once("k"))
        assert client.llen(registry.keys.queue(job.queue)) == 1
        assert registry.begin(job, WORKER).verdict == "run"
        registry.heartbeat([job.id])
        assert registry.progress(job.id, 1, 1, 2) == "go on"
        assert registry.release(job, SourceUnavailable().info, Holder(WORKER, 1), pause_s=0.001) == "released"
        wait_until(lambda: registry.publish_due().jobs == 1, 60, "it is put back")
        assert registry.begin(job, WORKER).verdict == "run"
        assert registry.finish(job, succeeded(job)) == "succeeded"
    finally:
        client.config_set("maxmemory", 0)


def test_who_was_asked_to_stop(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    assert registry.cancel_requested([job.id, "never"]) == []
    registry.cancel(job.id)
    assert registry.cancel_requested([job.id, "never"]) == [job.id]
    assert registry.cancel_requested([]) == []


def test_a_job_published_by_name_gets_its_record_at_its_delivery(registry: Registry) -> None:
    job = Job(image="s3://b/k", id="custom-id_1")
    assert registry.begin(job, WORKER).verdict == "run"
    assert registry.status(job.id).state == "running"


def test_a_record_that_is_gone_is_closed_all_the_same(registry: Registry, job: Job) -> None:
    registry.client.delete(registry.keys.record(job.id))
    assert registry.finish(job, failed(job)) == "failed"
    assert registry.status(job.id).error.code == "engine.failed"  # type: ignore[union-attr]


def test_fifty_submitters_with_one_idempotency_key_get_one_job(registry: Registry) -> None:
    def submit(_: int) -> str:
        (job_id,) = registry.submit([Job(image="s3://b/k", idempotency_key="order 1")])
        return job_id

    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(submit, range(50)))
    assert len(ids) == 1
    assert registry.client.llen(registry.keys.queue("ocr.tesseract")) == 1


def test_an_idempotency_key_whose_job_has_expired_is_free_again(registry: Registry) -> None:
    first = Job(image="s3://b/k", idempotency_key="order 2")
    list(registry.submit([first]))
    registry.client.delete(registry.keys.record(first.id))
    second = Job(image="s3://b/k", idempotency_key="order 2")
    assert list(registry.submit([second])) == [second.id]


def test_events_are_published_on_shared_channels(registry: Registry, job: Job) -> None:
    heard: list[bytes] = []
    subscribed = threading.Event()

    def listen() -> None:
        with registry.client.pubsub(ignore_subscribe_messages=True) as events:
            events.subscribe(registry.keys.events(job.id))
            events.get_message(timeout=60)
            subscribed.set()
            while len(heard) < 3 and (message := events.get_message(timeout=60)):
                heard.append(message["data"])

    listener = threading.Thread(target=listen)
    listener.start()
    assert subscribed.wait(60)
    registry.begin(job, WORKER)
    registry.progress(job.id, 1, 1, 2)
    registry.finish(job, succeeded(job))
    listener.join(60)
    assert heard == [f"{job.id} {what}".encode() for what in ("running", "running 1/2", "succeeded")]


def test_workers_announce_themselves_and_are_forgotten(registry: Registry) -> None:
    worker = WorkerInfo(
        name="mine-1@host",
        queues=("ocr.mine",),
        engines=(EngineOffer(name="mine", version="1", model="m", languages=("eng",)),),
        concurrency=2,
        pid=1,
        started_at=datetime.now(UTC),
    )
    announce_worker(registry, worker)
    assert [found.name for found in live_workers(registry)] == ["mine-1@host"]
    assert set(known_engines(registry)) == {"tesseract", "keras", "rapid", "vision", "null", "mine"}
    registry.client.hset(registry.keys.workers(), "newer", b'{"some": "future"}')
    stale = worker.model_copy(update={"name": "stale", "seen_at": 1.0})
    registry.client.hset(registry.keys.workers(), "stale", stale.model_dump_json())
    assert [found.name for found in live_workers(registry)] == ["mine-1@host"]
    assert set(registry.client.hkeys(registry.keys.workers())) == {b"mine-1@host", b"newer"}
    dismiss_worker(registry, "mine-1@host")
    assert live_workers(registry) == []


def test_queues_tell_the_length_and_the_oldest_job(registry: Registry, job: Job) -> None:
    list(registry.submit([Job(image="s3://b/k", priority="high")]))
    by_name = {queue.name: queue for queue in queues(registry)}
    assert by_name["ocr.tesseract"].waiting == 1
    assert by_name["ocr.tesseract"].oldest_job == job.id
    assert by_name["ocr.tesseract"].oldest_wait_s is not None
    assert by_name["ocr.tesseract.high"].waiting == 1
    assert by_name["ocr.null.low"].waiting == 0
    registry.client.rpush(registry.keys.queue("ocr.null.low"), b"not a message")
    assert {queue.name: queue.oldest_job for queue in queues(registry)}["ocr.null.low"] is None


def test_a_key_prefix_is_before_every_key(registry: Registry, job: Job) -> None:
    registry.begin(job, WORKER)
    registry.finish(job, succeeded(job))
    registry.remember_reading("k", "s3://b/r.json")
    assert registry.earlier_reading("k") == "s3://b/r.json"
    prefix = registry.settings.key_prefix.encode()
    assert prefix
    stray = [key for key in registry.client.scan_iter(count=1000) if key.startswith((b"ocr.", b"ocrqueue:"))]
    assert stray == []
    assert len(list(registry.client.scan_iter(match=prefix + b"*", count=1000))) == 6  # jobs ended, pages read, waits


@pytest.mark.parametrize("what", ["nothing listens", "wrong password"])
def test_a_broker_that_refuses_is_an_error_within_seconds(settings: Settings, what: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    if what == "wrong password":
        url = settings.redis_url.get_secret_value().replace("secret-of-the-tests", "guess")
    registry = Registry(load_settings(redis_url=url))
    try:
        with pytest.raises(BrokerUnavailable) as error:
            list(registry.submit([Job(image="s3://b/k")]))
        assert "guess" not in str(error.value)
        assert ("refuses the user or password" in str(error.value)) == (what == "wrong password")
    finally:
        registry.close()
