"""What jobs without a result have stored is removed, by whoever is on duty, and nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import pytest

from ocrqueue.core import Outcome, Start, WorkerRegistry
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.core.removal import removal
from ocrqueue.document import Document, EngineInfo, InputInfo
from ocrqueue.errors import EngineFailed, StorageDenied, StorageUnavailable
from ocrqueue.job import Job, new_job_id
from ocrqueue.leftovers import Tidying, tidy
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import Storage, open_storage
from tests.support.moves import begun, hold_of, job, submit
from tests.support.processes import wait_until


@pytest.fixture
def storage(settings: WorkerSettings) -> Storage:
    return open_storage(settings)


def ended(registry: WorkerRegistry, storage: Storage, **fields: object) -> Job:
    """A job that has failed, and whose attempt has stored two crops."""
    given = job(**fields)
    submit(registry, given)
    hold = begun(registry)
    store(storage, given)
    registry.finish(hold, given, Outcome(job_id=given.id, state="failed", error=EngineFailed().info))
    return given


def store(storage: Storage, given: Job) -> None:
    for name in ("a", "b"):
        storage.put(f"results/{given.id}/crops/{name}.png", b"crop", "image/png")


def left(storage: Storage, given: Job) -> list[str]:
    return sorted(key.rpartition("/")[2] for key in storage.list(f"results/{given.id}/"))


def test_what_is_left_is_removed_once(registry: WorkerRegistry, storage: Storage) -> None:
    jobs = [ended(registry, storage) for _ in range(3)]
    other = job()
    store(storage, other)
    tidy(registry, storage)
    assert [left(storage, given) for given in (*jobs, other)] == [[], [], [], ["a.png", "b.png"]]
    assert registry.leftovers(10) == []
    tidy(registry, storage)


def store_result(storage: Storage, given: Job) -> None:
    """One that names a crop."""
    document = Document(
        job_id=given.id,
        status="succeeded",
        input=InputInfo(uri="s3://b/k", sha256=None, format="PNG", bytes=1),
        engine=EngineInfo(name="null", version="1", model="m"),
        languages=("eng",),
        options={},
        attempts=1,
        finished_at="2026-01-01T00:00:00Z",
        pages=(),
        trail=({"engine": "null", "result": storage.uri(f"results/{given.id}/crops/b.png")},),
    )
    storage.put(f"results/{given.id}/result.json", document.model_dump_json().encode(), "application/json")


def test_a_result_of_another_life_stays_with_what_it_names(registry: WorkerRegistry, storage: Storage) -> None:
    given = ended(registry, storage, id=new_job_id())
    store_result(storage, given)
    tidy(registry, storage)
    assert left(storage, given) == ["b.png", "result.json"]


def test_a_result_of_a_job_that_was_cancelled_before_it_could_be_told_goes(
    registry: WorkerRegistry, storage: Storage
) -> None:
    given = ended(registry, storage)
    store_result(storage, given)
    tidy(registry, storage)
    assert left(storage, given) == []


@pytest.mark.parametrize("own_result", [False, True])
def test_of_a_job_with_a_result_only_what_that_does_not_name_goes(
    registry: WorkerRegistry, storage: Storage, own_result: bool
) -> None:
    """An attempt that was taken for lost wakes up, and says that it has stored something."""
    given = job()
    submit(registry, given)
    hold = begun(registry)
    store(storage, given)
    store_result(storage, given)
    registry.finish(hold, given, Outcome(job_id=given.id, state="succeeded"))
    registry.note_leftovers(given.id, own_result=own_result)
    tidy(registry, storage)
    assert left(storage, given) == ["b.png", "result.json"]


@pytest.mark.parametrize("own_result", [False, True])
def test_a_result_that_was_stored_after_the_job_was_cancelled_goes_whatever_its_id(
    registry: WorkerRegistry, storage: Storage, own_result: bool
) -> None:
    given = ended(registry, storage, id="mine-1")
    store_result(storage, given)
    registry.note_leftovers(given.id, own_result=own_result)
    tidy(registry, storage)
    assert left(storage, given) == ([] if own_result else ["b.png", "result.json"])


@pytest.mark.parametrize(("deleted", "own_result"), [(True, False), (True, True), (False, False), (False, True)])
def test_what_was_stored_for_a_job_without_a_record_goes_unless_it_may_be_its_result(
    registry: WorkerRegistry, storage: Storage, deleted: bool, own_result: bool
) -> None:
    """A result outlives the record of its job, where nobody has deleted that."""
    given = ended(registry, storage)
    if deleted:
        registry.run("delete", registry.arguments.delete([(given.id, given)], ""))
        registry.forget_deleted([(given.id, None)])
    else:
        registry.client.delete(registry.keys.record(given.id))
    store_result(storage, given)
    registry.note_leftovers(given.id, own_result=own_result)
    goes = deleted or own_result
    assert registry.client.zrange(registry.keys.deleted(), 0, -1) == [f"{given.id} ".encode()] * goes
    never_there = job()
    registry.note_leftovers(never_there.id, own_result=True)
    assert registry.client.zcard(registry.keys.deleted()) == goes
    registry.client.delete(registry.keys.deleted())


def test_what_somebody_else_has_claimed_is_removed_later(registry: WorkerRegistry, storage: Storage) -> None:
    """It may have been killed over it."""
    claimed, free = ended(registry, storage), ended(registry, storage)
    with removal(registry, with_leftovers=[claimed.id]):
        tidy(registry, storage)
        assert (left(storage, claimed), left(storage, free)) == (["a.png", "b.png"], [])
        assert registry.leftovers(10) == [claimed.id]
    tidy(registry, storage)
    assert (left(storage, claimed), registry.leftovers(10)) == ([], [])


def test_a_replayed_job_takes_nothing_for_its_own_that_is_being_removed(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ended(registry, storage)
    starts: list[Start] = []
    remove = storage.delete

    def replayed_meanwhile(keys: Iterable[str]) -> None:
        DeadLetters(registry).replay(given.id)
        starts.append(registry.begin(hold_of(registry), "w", "null"))
        remove(keys)

    monkeypatch.setattr(storage, "delete", replayed_meanwhile)
    tidy(registry, storage)
    assert [(start.number, start.is_being_removed) for start in starts] == [(1, True)]


def test_what_a_replayed_job_stores_stays(registry: WorkerRegistry, storage: Storage) -> None:
    given = ended(registry, storage)
    DeadLetters(registry).replay(given.id)
    tidy(registry, storage)
    assert left(storage, given) == ["a.png", "b.png"]
    assert registry.leftovers(1) == []


def test_while_storage_is_away_nothing_is_forgotten(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ended(registry, storage)

    def away(*_: object) -> None:
        raise StorageUnavailable

    for method in ("list", "delete"):
        with monkeypatch.context() as outage:
            outage.setattr(storage, method, away)
            with pytest.raises(StorageUnavailable):
                tidy(registry, storage)
        assert registry.leftovers(10) == [given.id]
    tidy(registry, storage)
    assert left(storage, given) == []


def test_what_storage_does_not_let_go_of_is_given_up(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(registry, storage)

    def denied(*_: object) -> None:
        raise StorageDenied

    monkeypatch.setattr(storage, "delete", denied)
    tidy(registry, storage)
    assert registry.leftovers(10) == []


def test_an_id_that_leads_elsewhere_is_left_alone(registry: WorkerRegistry, storage: Storage) -> None:
    other = job(id="another")
    store(storage, other)
    registry.client.sadd(registry.keys.leftovers(), "x/../another", "../results", "")
    tidy(registry, storage)
    assert left(storage, other) == ["a.png", "b.png"]
    assert registry.leftovers(10) == []


def test_slow_storage_holds_up_nobody_who_asks(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ended(registry, storage)
    gate, looks, look = threading.Event(), [], type(storage).list

    def slow(own: Storage, prefix: str) -> Iterator[str]:
        looks.append(prefix)
        assert gate.wait(60)
        return look(own, prefix)

    monkeypatch.setattr(type(storage), "list", slow)
    tidying = Tidying(registry.settings)
    for _ in range(5):
        tidying.ask()
    wait_until(lambda: looks, 60, "it looks")
    tidying.ask()
    assert len(looks) == 1, "one thread at a time"
    gate.set()
    wait_until(lambda: registry.leftovers(1) == [], 60, "it is removed")
    assert left(storage, given) == []
