"""Deleted is gone: of a job nothing stays in Redis or storage but that its id has ended, and nothing of others goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.errors import EngineFailed, JobEnded, JobUnknown, StorageUnavailable
from ocrqueue.leftovers import tidy
from ocrqueue.settings import Settings
from ocrqueue.storage import Storage, open_storage
from tests.integration.conftest import Installation
from tests.support.moves import begun, job, reclaimed, submit, succeeded
from tests.support.pictures import png, text_picture

pytest_plugins = ["tests.support.server_fixtures"]

CLOCK_MS = 120_000


@pytest.fixture
def own(settings: Settings) -> Iterator[OcrQueue]:
    """Of the same installation as `registry`, which has no worker."""
    with OcrQueue(settings) as made:
        yield made


@pytest.fixture
def storage(settings: Settings) -> Storage:
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
    return {key for key in storage.list("") if text in key or text.encode() in storage.get(key)}


def test_a_deleted_job_leaves_no_trace_and_its_image_stays_for_another(installation: Installation) -> None:
    queue, storage = installation.queue, installation.queue.storage
    image = png(text_picture("delete me"))
    fields = {"engine": "tesseract", "tenant": "acme", "tag": "case 7"}
    first = queue.submit(image, idempotency_key="order 7", **fields)
    assert first.wait(100).state == "succeeded"
    second = queue.submit(image, **fields)
    assert second.wait(100).cached, "it is the first one's answer"
    (name,) = {key for key in storage.list("inputs/") if queue.registry.jobs([first.id])[0].image.endswith(key)}  # type: ignore[union-attr]
    with closing(WorkerRegistry(installation.settings)) as registry:
        assert len(mentions_in_redis(registry, first.id)) > 4
        assert mentions_in_storage(storage, first.id)
        assert first.delete()
        assert {key.partition(":")[0] for key in mentions_in_redis(registry, first.id)} == {"ended_ids"}
        assert mentions_in_storage(storage, first.id) == set()
        assert storage.exists(name), "the second job has it still"
        assert all(word.crop and word.crop.open().read() for word in second.result().words())
        with pytest.raises(JobEnded):
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
    assert [(entry.filter, entry.jobs) for entry in own.audit()] == [({"ids": 1}, 0), ({"tag": "x"}, 3)]


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
    assert own.audit()[0].ended == "interrupted"
    assert mentions_in_storage(storage, given.id)
    tidy(registry, storage)
    assert mentions_in_storage(storage, given.id), "whoever deletes it may be at it"
    registry.client.zincrby(registry.keys.deleted(), -CLOCK_MS, f"{given.id} ")
    assert reclaimed(registry).deleted == 1
    tidy(registry, storage)
    assert mentions_in_storage(storage, given.id) == set()
    assert {key.partition(":")[0] for key in mentions_in_redis(registry, given.id)} == {"ended_ids"}
