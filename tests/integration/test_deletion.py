"""Deleted is gone: of a job nothing stays in Redis or storage but that its id has ended, and nothing of others goes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.errors import (
    DeletionPending,
    EngineFailed,
    JobDeleted,
    JobUnknown,
    StorageNotFound,
    StorageUnavailable,
)
from ocrqueue.leftovers import tidy
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import Storage, open_storage
from tests.integration.conftest import Installation
from tests.support.moves import begun, job, reclaimed, submit, succeeded
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, wait_until

pytest_plugins = ["tests.support.server_fixtures"]

CLOCK_MS = 120_000


@pytest.fixture
def own(settings: WorkerSettings) -> Iterator[OcrQueue]:
    """Of the same installation as `registry`, which has no worker."""
    with OcrQueue(settings) as made:
        yield made


@pytest.fixture
def storage(settings: WorkerSettings) -> Storage:
    return open_storage(settings)


def mentions_in_redis(registry: WorkerRegistry, text: str) -> set[str]:
    """The keys in whose name or value the text is."""
    client, found = registry.client, set()
    for key in client.scan_iter(f"{registry.settings.key_prefix}*", count=1000):
        match client.type(key):
            case b"hash":
                value: object = client.hgetall(key)
            case b"zset":
                value = client.zrange(key, 0, -1)
            case b"set":
                value = client.smembers(key)
            case b"list":
                value = client.lrange(key, 0, -1)
            case _:
                value = client.get(key)
        if text in repr((key, value)):
            found.add(key.decode().removeprefix(registry.keys.root))
    return found


def mentions_in_storage(storage: Storage, text: str) -> set[str]:
    return {key for key in storage.list("") if text in key or text.encode() in content(storage, key)}


def content(storage: Storage, key: str) -> bytes:
    """Nothing where it has gone since it was listed: of jobs of other tests, a worker removes what they left."""
    try:
        return storage.get(key)
    except StorageNotFound:
        return b""


def test_a_deleted_job_leaves_no_trace_and_its_image_stays_for_another(installation: Installation) -> None:
    queue, storage = installation.queue, installation.queue.storage
    image = png(text_picture("delete me"))
    fields = {"engine": "tesseract", "tenant": "acme", "tag": "case 7"}
    first = queue.submit(image, idempotency_key="order 7", **fields)
    assert first.wait(100).state == "succeeded"
    second = queue.submit(image, **fields)
    assert second.wait(100).cached, "it is the first one's answer"
    (name,) = {key for key in storage.list("inputs/") if registry_of(queue).jobs([first.id])[0].image.endswith(key)}  # type: ignore[union-attr]  # it was submitted just now
    with closing(WorkerRegistry(installation.settings)) as registry:
        assert len(mentions_in_redis(registry, first.id)) > 4
        assert mentions_in_storage(storage, first.id)
        assert first.delete()
        assert {key.partition(":")[0] for key in mentions_in_redis(registry, first.id)} == {"ended_ids"}
        assert mentions_in_storage(storage, first.id) == set()
        assert storage.exists(name), "the second job has it still"
        assert all(word.crop and word.crop.open().read() for word in second.result().words())
        with pytest.raises(JobDeleted):
            first.status()
        assert first.delete(), "asked again it is the same"
        again = queue.submit(image, idempotency_key="order 7", **fields)
        assert again.id not in (first.id, second.id), "its idempotency key is free"
        again.wait(100)
        assert queue.delete_many(tag="case 7").jobs == 2
        assert not storage.exists(name)
        assert mentions_in_redis(registry, second.id) == {
            key for key in mentions_in_redis(registry, second.id) if key.startswith("ended_ids:")
        }
        assert mentions_in_storage(storage, second.id) == set()
        assert check(registry) == []


def test_a_running_job_is_cancelled_first(registry: WorkerRegistry, own: OcrQueue, storage: Storage) -> None:
    given = job(tag="x", image=f"s3://b/inputs/{'0' * 64}.png")
    submit(registry, given)
    hold = begun(registry)
    storage.put(f"results/{given.id}/crops/a.png", b"crop", "image/png")

    def steps_aside(done: int) -> None:
        if done:
            return
        assert registry.progress(hold, 0, 1) == "stop"
        assert registry.release(hold, None) == "cancelled"

    assert own.delete_many(tag="x", on_progress=steps_aside).jobs == 1
    assert {key.partition(":")[0] for key in mentions_in_redis(registry, given.id)} == {"ended_ids"}
    assert list(storage.list("")) == []


def test_what_every_end_leaves_is_deleted(registry: WorkerRegistry, own: OcrQueue) -> None:
    waiting, dead, by_name = job(tag="x", tenant="acme"), job(tag="x", idempotency_key="k"), job(tag="x")
    submit(registry, dead)
    hold = begun(registry)
    registry.finish(hold, dead, Outcome(job_id=dead.id, state="failed", error=EngineFailed().info))
    submit(registry, by_name)
    registry.client.hset(registry.keys.record(by_name.id), "by_name", f"task-{by_name.id}")
    hold = begun(registry)
    assert registry.finish(hold, by_name, succeeded(hold), by_name=True) == "succeeded"
    assert any("celery-task-meta" in key for key in mentions_in_redis(registry, by_name.id))
    submit(registry, waiting)
    assert own.delete_many(tag="x", dry_run=True).jobs == 3
    assert own.delete_many(tag="x").jobs == 3
    for given in (waiting, dead, by_name):
        assert {key.partition(":")[0] for key in mentions_in_redis(registry, given.id)} == {"ended_ids"}
    with pytest.raises(JobUnknown):
        own.delete("nobody")
    assert [(entry.filter, entry.jobs) for entry in own.audit()] == [({"tag": "x"}, 3)]


def test_a_worker_that_comes_too_late_leaves_no_reading_of_a_deleted_job(
    registry: WorkerRegistry, own: OcrQueue
) -> None:
    given = job()
    submit(registry, given)
    registry.release(begun(registry), None)
    assert own.delete(given.id)
    registry.remember_reading("late", f"file:///results/{given.id}/result.json", given.id)
    assert registry.earlier_reading("late") is None
    assert {key.partition(":")[0] for key in mentions_in_redis(registry, given.id)} == {"ended_ids"}


def stored_jobs(registry: WorkerRegistry, storage: Storage, count: int) -> list[str]:
    """Jobs of the tag x that have ended, with something in storage."""
    made = [job(tag="x") for _ in range(count)]
    for given in made:
        submit(registry, given)
        hold = begun(registry)
        storage.put(f"results/{given.id}/result.json", json.dumps({"job_id": given.id}).encode(), "application/json")
        registry.finish(hold, given, succeeded(hold))
    return [given.id for given in made]


def test_where_storage_does_not_answer_all_jobs_are_deleted_and_it_is_asked_once(
    registry: WorkerRegistry, own: OcrQueue, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_jobs(registry, storage, 20)
    asked: list[object] = []

    def fails(*given: object) -> None:
        asked.append(given)
        raise StorageUnavailable("It is away.")

    with monkeypatch.context() as patched:
        patched.setattr("ocrqueue.operations.plan.remove_stored", fails)
        came_to = own.delete_many(tag="x")
    assert (came_to.jobs, came_to.left_in_storage, len(asked)) == (20, 20, 1)
    assert came_to.storage_error is not None
    assert came_to.storage_error.code == "storage.unavailable"
    assert own.jobs(tag="x").jobs == ()
    assert len(list(storage.list("results/"))) == 20
    repeated = own.delete_many(tag="x")
    assert (repeated.jobs, repeated.left_in_storage) == (0, 0), "it takes on what the first one has left"
    assert list(storage.list("results/")) == []
    assert registry.client.zcard(registry.keys.deleted()) == 0


def test_what_somebody_else_claims_is_told_of_and_not_called_gone(
    registry: WorkerRegistry, own: OcrQueue, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a deletion that was killed over it."""
    monkeypatch.setattr("ocrqueue.core.stored_removal._PAUSE_S", 0.001)
    first, second = stored_jobs(registry, storage, 2)
    registry.client.set(registry.keys.removal(first), "killed", px=60_000)
    came_to = own.delete_many(tag="x")
    assert (came_to.jobs, came_to.left_in_storage, came_to.storage_error) == (2, 1, None)
    with pytest.raises(DeletionPending):
        own.delete(first)
    assert own.delete(second), "it is gone"
    registry.client.zincrby(registry.keys.deleted(), -CLOCK_MS, f"{first} ")
    tidy(registry, storage)
    assert mentions_in_storage(storage, first), "who tidies does not wait for whoever claims it"
    registry.client.delete(registry.keys.removal(first))
    assert own.delete(first)
    assert mentions_in_storage(storage, first) == set()


def test_what_runs_beside_each_other_counts_what_each_has_done(
    registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    submit(registry, *(job(tag="x") for _ in range(300)))

    def act(name: str) -> int:
        with OcrQueue(settings) as queue:
            return int(getattr(queue, name)(tag="x").jobs)

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(act, ["cancel_many"] * 3)) == 300
        assert sum(pool.map(act, ["delete_many"] * 3)) == 300
    with OcrQueue(settings) as queue:
        assert sum(entry.jobs for entry in queue.audit() if entry.action == "delete") == 300


def test_what_is_deleted_again_was_deleted_before(registry: WorkerRegistry, own: OcrQueue, storage: Storage) -> None:
    ended, expired = stored_jobs(registry, storage, 2)
    waiting = job()
    submit(registry, waiting)
    registry.client.delete(registry.keys.record(expired))
    ids = [ended, expired, waiting.id, "nobody"]
    became = own.delete_ids(ids).became
    assert became == {ended: "deleted", expired: "deleted", waiting.id: "deleted", "nobody": "unknown"}
    assert list(storage.list("results/")) == []
    assert own.delete_ids(ids[:3]).became == dict.fromkeys(ids[:3], "gone")
    assert [(entry.filter, entry.jobs) for entry in own.audit()] == [({"ids": 4}, 3)], "and none of 0 jobs"
    for job_id in ids[:3]:
        for call in (own.job(job_id).status, own.job(job_id).history, own.job(job_id).cancel):
            with pytest.raises(JobDeleted):
                call()


@pytest.mark.parametrize("knows_it", [False, True])
def test_the_idempotency_key_of_a_deleted_job_is_free_also_where_its_record_had_expired(
    registry: WorkerRegistry, own: OcrQueue, knows_it: bool
) -> None:
    first = job(idempotency_key="k")
    submit(registry, first)
    assert registry.cancel(first.id) == "cancelled"
    registry.client.delete(registry.keys.record(first.id))
    again = job(idempotency_key="k")
    assert submit(registry, again) == [first.id], "it has ended, and is remembered"
    if knows_it:
        assert registry.run("delete", registry.arguments.delete([(first.id, first)], "")) == [b"deleted"]
        assert list(registry.client.scan_iter(f"{registry.keys.root}once:*")) == []
        registry.forget_deleted([(first.id, None)])
    else:
        assert own.delete(first.id)
    assert submit(registry, again) == [again.id]
    assert submit(registry, job(idempotency_key="k")) == [again.id]
    registry.cancel(again.id)
    # what has no record is listed until somebody on duty looks
    registry.client.delete(f"{registry.keys.root}by_state:cancelled", registry.keys.record(again.id))


def test_reconcile_in_a_loop_removes_what_deleted_jobs_have_left(
    registry: WorkerRegistry, settings: WorkerSettings, storage: Storage, tmp_path: Path
) -> None:
    (job_id,) = stored_jobs(registry, storage, 1)
    registry.run("delete", registry.arguments.delete([(job_id, None)], ""))
    registry.client.zincrby(registry.keys.deleted(), -CLOCK_MS, f"{job_id} ")
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(settings).items()}
    loop = subprocess.Popen(["ocrqueue", "reconcile", "--loop"], env={**os.environ, **given})
    try:
        wait_until(lambda: not mentions_in_storage(storage, job_id), 60, "it is removed")
    finally:
        loop.terminate()
        loop.wait()


def test_what_a_killed_deletion_has_left_in_storage_is_removed_by_a_worker(
    registry: WorkerRegistry, own: OcrQueue, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(tag="x")
    submit(registry, given)
    hold = begun(registry)
    storage.put(f"results/{given.id}/result.json", json.dumps({"job_id": given.id}).encode(), "application/json")
    registry.finish(hold, given, succeeded(hold))

    def fails(*_: object) -> None:
        raise StorageUnavailable("It is away.")

    with monkeypatch.context() as patched:
        patched.setattr("ocrqueue.operations.plan.remove_stored", fails)
        with pytest.raises(StorageUnavailable):
            own.delete(given.id)
    assert [(entry.jobs, entry.ended) for entry in own.audit()] == [(1, "done")], "it is deleted"
    assert mentions_in_storage(storage, given.id)
    tidy(registry, storage)
    assert mentions_in_storage(storage, given.id), "whoever deletes it may be at it"
    registry.client.zincrby(registry.keys.deleted(), -CLOCK_MS, f"{given.id} ")
    assert reclaimed(registry).deleted == 1
    tidy(registry, storage)
    assert mentions_in_storage(storage, given.id) == set()
    assert {key.partition(":")[0] for key in mentions_in_redis(registry, given.id)} == {"ended_ids"}
