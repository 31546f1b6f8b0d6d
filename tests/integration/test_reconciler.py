"""Lost messages and lost workers: found by their records, published again, and nothing else is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import redis

from ocrqueue.core import Holder, Outcome, Registry
from ocrqueue.core.celery_messages import job_in_message
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.core.reconciler import Reconciler, Reconciliation
from ocrqueue.document import Document, EngineInfo, InputInfo, Page
from ocrqueue.errors import BrokerUnavailable, EngineFailed, ImageEmpty, JobPoison, JobUnknown, SourceUnavailable
from ocrqueue.job import Job
from ocrqueue.settings import Settings
from ocrqueue.storage import open_storage

NOTHING = Reconciliation()


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    registry = Registry(settings)
    yield registry
    registry.close()


@pytest.fixture
def reconciler(registry: Registry) -> Reconciler:
    return Reconciler(registry, open_storage(registry.settings))


def submitted(registry: Registry) -> Job:
    job = Job(image="s3://b/k")
    list(registry.submit([job]))
    return job


def started(registry: Registry) -> Job:
    """As a worker has it: off the queue, running."""
    job = submitted(registry)
    registry.client.rpop(registry.keys.queue(job.queue))
    registry.begin(job, "w")
    return job


def age(registry: Registry, seconds: float) -> None:
    """Make every sign of life older."""
    for index in (registry.keys.queued(), registry.keys.running()):
        for job_id in registry.client.zrange(index, 0, -1):
            registry.client.zincrby(index, -seconds * 1000, job_id)


def waiting(registry: Registry) -> int:
    return int(registry.client.llen(registry.keys.queue("ocr.tesseract")))


def test_what_is_young_is_left_alone(registry: Registry, reconciler: Reconciler) -> None:
    submitted(registry), started(registry)
    age(registry, 10)
    assert reconciler.run() == NOTHING


def test_a_running_job_without_heartbeat_is_requeued_once(registry: Registry, reconciler: Reconciler) -> None:
    job = started(registry)
    age(registry, 16)
    assert reconciler.run() == Reconciliation(requeued=(job.id,))
    assert registry.status(job.id).state == "queued"
    assert waiting(registry) == 1
    assert reconciler.run() == NOTHING
    again = registry.begin(job, "other")
    assert (again.verdict, again.number) == ("run", 2)


def test_a_heartbeat_or_progress_keeps_a_job(registry: Registry, reconciler: Reconciler) -> None:
    by_heartbeat, by_progress = started(registry), started(registry)
    age(registry, 16)
    registry.heartbeat([by_heartbeat.id, "unknown"])
    registry.progress(by_progress.id, 1, 1, 2)
    assert reconciler.run() == NOTHING
    assert registry.client.zcard(registry.keys.running()) == 2


def test_lost_deliveries_still_count_towards_poison(registry: Registry, reconciler: Reconciler) -> None:
    job = started(registry)
    for _ in range(2):
        age(registry, 16)
        reconciler.run()
        registry.begin(job, "w")
    age(registry, 16)
    reconciler.run()
    assert registry.begin(job, "w").verdict == "poison"


def store_result(reconciler: Reconciler, job: Job) -> str:
    document = Document(
        job_id=job.id,
        status="succeeded",
        input=InputInfo(uri="s3://b/k", sha256="0" * 64, format="PNG", bytes=1),
        engine=EngineInfo(name="e", version="1", model="m"),
        languages=("eng",),
        finished_at=datetime.now(UTC),
        pages=(Page(number=1, width=1, height=1),),
    )
    assert reconciler.storage is not None
    return reconciler.storage.put(f"results/{job.id}/result.json", document.model_dump_json().encode(), "")


def test_a_job_whose_result_is_stored_is_closed(registry: Registry, reconciler: Reconciler) -> None:
    job = started(registry)
    uri = store_result(reconciler, job)
    age(registry, 16)
    assert reconciler.run() == Reconciliation(closed=(job.id,))
    status = registry.status(job.id)
    assert (status.state, status.result, status.pages) == ("succeeded", uri, 1)
    assert waiting(registry) == 0


def test_a_job_whose_end_is_to_be_told_is_left_to_a_worker(registry: Registry, reconciler: Reconciler) -> None:
    by_name, replied = Job(image="s3://b/k"), Job(image="s3://b/k", reply_to="theirs")
    registry.begin(by_name, "w", wants_summary=True)
    registry.begin(replied, "w")
    for job in (by_name, replied):
        store_result(reconciler, job)
    age(registry, 16)
    found = reconciler.run()
    assert (found.closed, set(found.requeued)) == ((), {by_name.id, replied.id})


def test_a_waiting_job_whose_message_is_gone_is_published_again(registry: Registry, reconciler: Reconciler) -> None:
    job, kept = submitted(registry), submitted(registry)
    registry.client.rpop(registry.keys.queue(job.queue))
    age(registry, 31)
    assert reconciler.run() == Reconciliation(republished=(job.id,))
    assert waiting(registry) == 2
    age(registry, 31)
    assert reconciler.run() == NOTHING, "a long queue is not a lost message"
    assert registry.status(kept.id).state == "queued"


def test_a_message_in_a_living_workers_hands_is_not_lost(registry: Registry, reconciler: Reconciler) -> None:
    job = submitted(registry)
    registry.client.rpop(registry.keys.queue(job.queue))
    age(registry, 31)
    registry.heartbeat([job.id])
    assert reconciler.run() == NOTHING
    age(registry, 31)
    assert reconciler.run() == Reconciliation(republished=(job.id,)), "its worker is gone"


def test_a_job_in_its_pause_before_a_retry_is_not_lost(registry: Registry, reconciler: Reconciler) -> None:
    job = started(registry)
    registry.release(job, SourceUnavailable().info, Holder("w", 1), pause_s=60)
    age(registry, 100)
    assert reconciler.run() == NOTHING
    registry.client.zincrby(registry.keys.delayed(), -61_000, job.id)
    assert reconciler.run() == NOTHING
    assert waiting(registry) == 1, "the reconciler puts it back as workers do"


def test_a_job_sent_by_name_keeps_its_summary(registry: Registry, reconciler: Reconciler) -> None:
    job = Job(image="s3://b/k")
    registry.begin(job, "w", wants_summary=True)
    age(registry, 16)
    assert reconciler.run() == Reconciliation(requeued=(job.id,))
    message = registry.client.rpop(registry.keys.queue(job.queue))
    assert isinstance(message, bytes)
    assert json.loads(message)["headers"]["ignore_result"] is False


def test_a_lost_job_goes_before_those_that_came_later(registry: Registry, reconciler: Reconciler) -> None:
    job = started(registry)
    submitted(registry)
    age(registry, 16)
    reconciler.run()
    first = registry.client.rpop(registry.keys.queue(job.queue))
    assert isinstance(first, bytes)
    assert job_in_message(first)["id"] == job.id


def test_lost_jobs_keep_their_order(registry: Registry, reconciler: Reconciler) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(submitted(registry))
        age(registry, 1)
    queue = registry.keys.queue(jobs[0].queue)
    registry.client.delete(queue)
    age(registry, 31)
    assert set(reconciler.run().republished) == {job.id for job in jobs}
    again = [job_in_message(registry.client.rpop(queue)).get("id") for _ in jobs]  # type: ignore[arg-type]
    assert again == [job.id for job in jobs]


def test_many_reconcilers_at_once_publish_once(registry: Registry, settings: Settings) -> None:
    jobs = [started(registry) for _ in range(20)]
    age(registry, 16)

    def run(_: int) -> list[str]:
        own = Registry(settings)
        try:
            return list(Reconciler(own, open_storage(settings)).run().requeued)
        finally:
            own.close()

    with ThreadPoolExecutor(5) as pool:
        requeued = [job_id for ids in pool.map(run, range(5)) for job_id in ids]
    assert sorted(requeued) == sorted(job.id for job in jobs)
    assert waiting(registry) == 20


def test_in_a_long_queue_only_what_should_have_come_by_now_is_lost(
    registry: Registry, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrqueue.core.reconciler._SEARCHED", 3)
    jobs = []
    for _ in range(6):
        age(registry, 1)
        jobs.append(submitted(registry))
    messages = registry.client.lrange(registry.keys.queue("ocr.tesseract"), 0, -1)
    for lost in (jobs[1], jobs[5]):
        for message in messages:
            if job_in_message(message)["id"] == lost.id:
                registry.client.lrem(registry.keys.queue("ocr.tesseract"), 1, message)
    age(registry, 31)
    assert reconciler.run() == Reconciliation(republished=(jobs[1].id,))


def test_reconcilers_take_turns(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    reconciler = in_touch(registry, monkeypatch)
    job = started(registry)
    assert reconciler.run_in_turn() == NOTHING
    age(registry, 16)
    assert reconciler.run_in_turn() == NOTHING, "another round was just had"
    registry.client.delete(registry.keys.reconciling())
    assert reconciler.run_in_turn() == Reconciliation(requeued=(job.id,))


def test_after_an_outage_workers_may_first_say_that_they_live(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler = in_touch(registry, monkeypatch)
    job = started(registry)
    age(registry, 16)
    with monkeypatch.context() as outage:
        outage.setattr(registry.client, "set", raise_connection_error)
        with pytest.raises(BrokerUnavailable):
            reconciler.run_in_turn()
    assert reconciler.run_in_turn() == NOTHING
    registry.client.delete(registry.keys.reconciling())
    assert reconciler.run_in_turn() == NOTHING
    registry.heartbeat([job.id])
    registry.client.delete(registry.keys.reconciling())
    pass_seconds(monkeypatch, 16)
    assert reconciler.run_in_turn() == NOTHING
    age(registry, 16)
    registry.client.delete(registry.keys.reconciling())
    assert reconciler.run_in_turn() == Reconciliation(requeued=(job.id,))


def test_a_reconciler_out_of_touch_leaves_the_turn_to_another(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler, newcomer = in_touch(registry, monkeypatch), Reconciler(registry, storage=None)
    reconciler.lost_touch()
    job = started(registry)
    age(registry, 16)
    assert reconciler.run_in_turn() == NOTHING
    assert newcomer.run_in_turn() == NOTHING
    pass_seconds(monkeypatch, 32)
    assert reconciler.run_in_turn() == Reconciliation(requeued=(job.id,))


def test_after_a_standstill_of_the_machine_workers_may_first_say_that_they_live(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler = in_touch(registry, monkeypatch, turn_every_s=5)
    job = started(registry)
    assert reconciler.run_in_turn() == NOTHING
    pass_seconds(monkeypatch, 16)
    age(registry, 16)
    registry.client.delete(registry.keys.reconciling())
    assert reconciler.run_in_turn() == NOTHING
    for _ in range(2):
        pass_seconds(monkeypatch, 5)
        assert reconciler.run_in_turn() == NOTHING
    pass_seconds(monkeypatch, 6)
    assert reconciler.run_in_turn() == Reconciliation(requeued=(job.id,)), "it has stayed silent"


def in_touch(registry: Registry, monkeypatch: pytest.MonkeyPatch, turn_every_s: float | None = None) -> Reconciler:
    """A reconciler that has had Redis for as long as it needs."""
    reconciler = Reconciler(registry, open_storage(registry.settings), turn_every_s)
    pass_seconds(monkeypatch, 16)
    return reconciler


def pass_seconds(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.monotonic()
    monkeypatch.setattr("ocrqueue.core.reconciler.time.monotonic", lambda: now + seconds)


def raise_connection_error(*_: object, **__: object) -> None:
    raise redis.ConnectionError


def test_ended_and_expired_jobs_leave_the_indexes(registry: Registry, reconciler: Reconciler) -> None:
    ended, cancelled, gone = started(registry), submitted(registry), started(registry)
    registry.finish(ended, Outcome(job_id=ended.id, state="succeeded"))
    registry.cancel(cancelled.id)
    registry.client.delete(registry.keys.record(gone.id))
    age(registry, 31)
    assert reconciler.run() == NOTHING
    assert registry.client.zcard(registry.keys.queued()) == 0
    assert registry.client.zcard(registry.keys.running()) == 0


# --- dead letters --------------------------------------------------------------------------------------------------


def failed(registry: Registry, error: type[Exception]) -> Job:
    job = started(registry)
    registry.finish(job, Outcome(job_id=job.id, state="failed", error=error().info))  # type: ignore[attr-defined]
    return job


def test_what_may_pass_is_a_dead_letter_and_a_bad_image_is_not(registry: Registry) -> None:
    dead = [failed(registry, error) for error in (JobPoison, EngineFailed, SourceUnavailable)]
    failed(registry, ImageEmpty)
    letters = DeadLetters(registry)
    assert letters.ids() == [job.id for job in reversed(dead)]
    assert [status.error.code for status in letters.list() if status.error] == [
        "source.unavailable",
        "engine.failed",
        "job.poison",
    ]
    assert registry.client.pttl(registry.keys.record(dead[0].id)) > registry.settings.record_ttl_s * 1000


def test_a_replay_queues_the_job_anew_and_keeps_its_history(registry: Registry) -> None:
    job, letters = failed(registry, JobPoison), DeadLetters(registry)
    for round_number in (1, 2):
        letters.replay(job.id)
        status = registry.status(job.id)
        assert (status.state, status.attempts, status.error) == ("queued", 0, None)
        assert [outcome.error.code for outcome in status.history if outcome.error] == ["job.poison"] * round_number
        assert letters.ids() == []
        with pytest.raises(JobUnknown):
            letters.replay(job.id)
        assert registry.begin(job, "w").number == 1
        registry.finish(job, Outcome(job_id=job.id, state="failed", error=JobPoison().info))
    assert waiting(registry) == 2


def test_a_dropped_letter_is_gone_and_its_record_stays(registry: Registry) -> None:
    job, letters = failed(registry, EngineFailed), DeadLetters(registry)
    assert letters.get(job.id).id == job.id
    letters.drop(job.id)
    assert letters.list() == []
    assert registry.status(job.id).state == "failed"
    for call in (letters.drop, letters.replay, letters.get):
        with pytest.raises(JobUnknown):
            call(job.id)


def test_a_letter_whose_record_has_expired_is_forgotten(registry: Registry) -> None:
    job, letters = failed(registry, EngineFailed), DeadLetters(registry)
    registry.client.delete(registry.keys.record(job.id))
    assert letters.list() == []
    assert letters.ids() == []
