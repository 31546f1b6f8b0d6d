"""What nobody needs any more is removed from storage, and nothing else is, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.cleaning import Amount, Cleaned, Cleaning, lifecycle_rules, results_life_s
from ocrqueue.cli.program import program
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.removal import removal
from ocrqueue.errors import CleaningRefused, StorageUnavailable
from ocrqueue.job.references import input_name
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import PROBE, FileStorage, Storage, StoredObject, open_storage
from ocrqueue.storage.s3_client import s3_client
from tests.support.documentation import ROOT, block_after
from tests.support.moves import begun, job, submit, succeeded
from tests.support.processes import as_environment, environment

pytest_plugins = ["tests.support.server_fixtures"]

DAY_S = 86_400


@pytest.fixture(params=["file", "s3"])
def settings(request: pytest.FixtureRequest, settings: WorkerSettings) -> WorkerSettings:
    if request.param == "s3":
        theirs: WorkerSettings = request.getfixturevalue("s3_settings")
        return settings.model_copy(update={"storage": theirs.storage, "s3_endpoint": theirs.s3_endpoint})
    return settings


@pytest.fixture
def storage(settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """One whose objects are as old as their keys say: below `old` 30 days, and all others new."""
    opened = open_storage(settings)
    plain = type(opened).stored

    def aged(self: Storage, prefix: str) -> Iterator[StoredObject]:
        for found in plain(self, prefix):
            yield replace(found, modified_at=found.modified_at - 30 * DAY_S) if "old" in found.key else found

    monkeypatch.setattr(type(opened), "stored", aged)
    return opened


def store(storage: Storage, job_id: str, crops: int = 2) -> None:
    storage.put(f"results/{job_id}/crops.zip", b"crops", "application/zip")
    for number in range(crops):
        storage.put(f"results/{job_id}/crops/p001-w{number:04d}.png", b"crop", "image/png")
    storage.put(f"results/{job_id}/result.json", b"{}", "application/json")


def left(storage: Storage) -> set[str]:
    """The jobs and images of which something is stored."""
    return {key.split("/")[1] for key in storage.list("")}


def clean(registry: WorkerRegistry, storage: Storage, **changes: Any) -> Cleaned:
    values = {"dry_run": False, "results_older_than_s": results_life_s(registry.settings), **changes}
    return Cleaning(registry, storage, **values).run()


def test_what_is_stored_without_a_record_for_long_goes_and_all_else_stays(
    registry: WorkerRegistry, storage: Storage
) -> None:
    waiting, running, ended = job(id="old-waiting"), job(id="old-running"), job(id="old-ended")
    submit(registry, running, ended)
    begun(registry)
    hold = begun(registry)
    registry.finish(hold, ended, succeeded(hold))
    submit(registry, waiting)
    for job_id in ("old-waiting", "old-running", "old-ended", "old-1", "old-2", "new"):
        store(storage, job_id)
    storage.put("results/no id of a job, old/x", b"x", "text/plain")
    storage.put("elsewhere/old/x", b"x", "text/plain")
    everything = left(storage)
    expected = Cleaned(results=Amount(2, 8, 30))
    assert clean(registry, storage, dry_run=True) == expected
    assert left(storage) == everything
    assert clean(registry, storage) == expected
    assert left(storage) == everything - {"old-1", "old-2"}
    assert clean(registry, storage) == Cleaned()
    if isinstance(storage, FileStorage):
        assert sorted(path.name for path in (storage.root / "results").iterdir() if path.name.startswith("old-")) == [
            "old-ended",
            "old-running",
            "old-waiting",
        ]


def test_what_is_left_of_a_look_at_storage_goes_uncounted(registry: WorkerRegistry, storage: Storage) -> None:
    for name in ("old", "new"):
        storage.put(f"results/{PROBE}{name}", b"probe", "application/octet-stream")
    assert clean(registry, storage, dry_run=True) == Cleaned()
    assert left(storage) == {f"{PROBE}old", f"{PROBE}new"}
    assert clean(registry, storage) == Cleaned()
    assert left(storage) == {f"{PROBE}new"}


def image_name(number: int = 0) -> str:
    return f"{hashlib.sha256(bytes([number])).hexdigest()}.png"


def test_images_that_no_record_has_referred_to_for_an_hour_go(registry: WorkerRegistry, storage: Storage) -> None:
    for number in range(4):
        storage.put(f"inputs/{image_name(number)}", b"image", "image/png")
    storage.put("inputs/of-another-name.png", b"image", "image/png")
    uri = storage.uri(f"inputs/{image_name(0)}")
    at_work, ended = job(image=uri), job(image=storage.uri(f"inputs/{image_name(1)}"))
    submit(registry, ended, at_work)
    hold = begun(registry)
    registry.finish(hold, ended, succeeded(hold))
    assert registry.announce_input(image_name(2), "to-come")
    assert clean(registry, storage) == Cleaned(), "they are new"
    expected = Cleaned(inputs=Amount(1, 1, 5))
    assert clean(registry, storage, least_age_s=-60, dry_run=True) == expected
    assert clean(registry, storage, least_age_s=-60) == expected
    assert left(storage) == {image_name(0), image_name(1), image_name(2), "of-another-name.png"}
    registry.client.delete(registry.keys.record(ended.id), registry.keys.input(image_name(1)))
    assert clean(registry, storage, least_age_s=-60) == expected
    assert left(storage) == {image_name(0), image_name(2), "of-another-name.png"}


def test_more_than_one_claim_and_one_request_take(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrqueue.cleaning._OBJECTS_AT_ONCE", 7)
    monkeypatch.setattr("ocrqueue.cleaning.MOST_AT_ONCE", 3)
    for number in range(10):
        store(storage, f"old-{number}", crops=number % 3)
    store(storage, "old-large", crops=20)
    submit(registry, job())
    seen: list[int] = []
    done = clean(registry, storage, on_step=lambda so_far: seen.append(so_far.results.objects))
    assert done.results == Amount(11, 51, 10 * (5 + 2) + 9 * 4 + 20 * 4 + 5 + 2)
    assert (seen == sorted(seen), seen[-1], len(seen) > 5) == (True, 51, True)
    assert left(storage) == set()


def test_a_job_that_begins_anew_under_its_id_keeps_what_it_stores(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its submission comes between the listing and the claim."""
    store(storage, "old-1")
    store(storage, "old-2")
    claim = registry.run

    def submitted_first(move: str, arguments: Any) -> Any:
        if move == "claim_removal":
            monkeypatch.undo()
            submit(registry, job(id="old-1"))
        return claim(move, arguments)

    monkeypatch.setattr(registry, "run", submitted_first)
    submit(registry, job())
    files = [replace(found, modified_at=0.0) for found in storage.stored("results")]
    monkeypatch.setattr(storage, "stored", lambda prefix: iter(files if prefix == "results" else ()))
    assert clean(registry, storage).results.count == 1
    assert left(storage) == {"old-1"}


def test_two_who_clean_at_once_do_no_harm(registry: WorkerRegistry, storage: Storage) -> None:
    store(storage, "old-1")
    store(storage, "old-2")
    submit(registry, job())
    with removal(registry, job_ids=["old-1"]):
        assert clean(registry, storage).results.count == 1
        assert left(storage) == {"old-1"}
    assert clean(registry, storage).results.count == 1


def test_what_storage_did_not_let_go_of_is_removed_by_the_next(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(storage, "old-1")
    submit(registry, job())
    delete, calls = storage.delete, []

    def once(keys: Any) -> None:
        calls.append(list(keys))
        if len(calls) == 2:
            raise StorageUnavailable
        delete(calls[-1])

    with monkeypatch.context() as outage:
        outage.setattr(storage, "delete", once)
        with pytest.raises(StorageUnavailable):
            clean(registry, storage)
    assert calls[0] == ["results/old-1/result.json"], "the result goes first"
    assert registry.client.keys(f"{registry.keys.root}removal:*") == []
    assert clean(registry, storage).results == Amount(1, 3, 13)
    assert left(storage) == set()


def test_a_claim_that_has_run_out_removes_nothing(
    registry: WorkerRegistry, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(storage, "old-1")
    submit(registry, job())
    monkeypatch.setattr("ocrqueue.core.removal._SPARE_S", -1.0)
    assert clean(registry, storage) == Cleaned()
    assert left(storage) == {"old-1"}


def test_a_redis_that_has_never_had_a_job_is_not_believed(registry: WorkerRegistry, storage: Storage) -> None:
    assert clean(registry, storage) == Cleaned()
    store(storage, "old-1")
    for dry_run in (True, False):
        with pytest.raises(CleaningRefused):
            clean(registry, storage, dry_run=dry_run)
    assert left(storage) == {"old-1"}


@pytest.mark.parametrize("settings", ["file"], indirect=True)
def test_no_image_is_removed_from_under_a_job(settings: WorkerSettings, registry: WorkerRegistry) -> None:
    """The same image again and again, each time of the only job there is, beside one who cleans without a pause."""
    removed, stop = [0], threading.Event()

    def clean_on() -> None:
        with closing(WorkerRegistry(settings)) as own:
            while not stop.is_set():
                removed[0] += clean(own, open_storage(settings), least_age_s=-60).inputs.count

    cleaner = threading.Thread(target=clean_on)
    with OcrQueue(settings) as queue:
        submit(registry, job())
        cleaner.start()
        try:
            end = time.monotonic() + 100
            # a busy machine may keep the cleaner from running for that long
            for number in itertools.count():
                if (number >= 300 and removed[0] > 10) or time.monotonic() > end:
                    break
                given = queue.submit(b"\x89PNG", engine="null")
                name = input_name(given.status().image) or ""
                assert queue.storage.exists(f"inputs/{name}")
                given.cancel()
                assert queue.storage.exists(f"inputs/{name}")
                registry.client.delete(registry.keys.record(given.id), registry.keys.input(name))
        finally:
            stop.set()
            cleaner.join(60)
    assert removed[0] > 10


@pytest.mark.parametrize("settings", ["file"], indirect=True)
def test_what_killed_writers_have_left_goes_with_the_rest(registry: WorkerRegistry, tmp_path: Path) -> None:
    storage = open_storage(registry.settings)
    store(storage, "x")
    folder = tmp_path / "storage" / "results" / "x"
    (folder / "crops" / ".ocrqueue-put-0123").write_bytes(b"half")
    for path in folder.rglob("*"):
        os.utime(path, (1000, 1000))
    submit(registry, job())
    assert clean(registry, storage).results.count == 1
    assert not folder.exists()


def run(settings: WorkerSettings, *arguments: str) -> Result:
    result = CliRunner().invoke(program, ["clean", *arguments], env=environment(as_environment(settings)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("face", ["sync", "async"])
def test_apps_clean_too(registry: WorkerRegistry, storage: Storage, face: str) -> None:
    store(storage, "old-1")
    submit(registry, job())

    async def in_loop(dry_run: bool) -> Cleaned:
        async with AsyncOcrQueue(registry.settings) as queue:
            return await queue.clean(dry_run=dry_run)

    def run(dry_run: bool) -> Cleaned:
        if face == "async":
            return asyncio.run(in_loop(dry_run))
        with OcrQueue(registry.settings) as queue:
            return queue.clean(dry_run=dry_run)

    assert (run(True).results.count, left(storage)) == (1, {"old-1"})
    with OcrQueue(registry.settings) as queue:
        assert queue.audit() == [], "nothing was done"
        assert (run(False).results.count, left(storage)) == (1, set())
        (entry,) = queue.audit()
    assert (entry.action, entry.jobs, entry.ended) == ("clean", 1, "done")
    assert entry.filter == {"older_than_s": results_life_s(registry.settings)}


@pytest.mark.parametrize("settings", ["file"], indirect=True)
def test_the_command(settings: WorkerSettings, registry: WorkerRegistry, tmp_path: Path) -> None:
    storage = open_storage(settings)
    for name in ("month", "hours"):
        store(storage, name)
    storage.put(f"inputs/{image_name()}", b"image", "image/png")
    for path in tmp_path.rglob("*"):
        then = time.time() - (5 * 3600 if "hours" in path.parts else 30 * DAY_S)
        os.utime(path, (then, then))
    submit(registry, job())
    dry = run(settings, "--dry-run")
    assert dry.stdout.splitlines() == [
        "results of 1 jobs  4 objects  15 bytes  would be removed",
        "1 uploaded images  5 bytes  would be removed",
    ]
    assert json.loads(run(settings, "--dry-run", "--older-than", "4h", "--json").stdout) == {
        "dry_run": True,
        "results": {"jobs": 2, "objects": 8, "bytes": 30},
        "inputs": {"objects": 1, "bytes": 5},
    }
    assert left(storage) == {"month", "hours", image_name()}
    assert run(settings).stdout == dry.stdout.replace("would be removed", "removed")
    assert left(storage) == {"hours"}
    assert run(settings, "--older-than", "1m").exit_code == 2
    assert run(settings, "--older-than", "soon").exit_code == 2
    assert run(settings, "--lifecycle").exit_code == 2


@pytest.mark.parametrize("settings", ["s3"], indirect=True)
def test_an_s3_server_takes_the_rules(settings: WorkerSettings) -> None:
    printed = json.loads(run(settings, "--lifecycle").stdout)
    assert printed == lifecycle_rules(settings)
    bucket, _, prefix = settings.storage.removeprefix("s3://").partition("/")
    s3_client(settings).put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=printed)
    taken = s3_client(settings).get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in taken} == {
        f"{prefix}/results/": 7,
        f"{prefix}/inputs/": 32,
    }
    s3_client(settings).delete_bucket_lifecycle(Bucket=bucket)


def test_the_rules_in_the_docs_are_those_of_the_defaults() -> None:
    documented = json.loads(block_after(ROOT / "docs/storage.md", "--lifecycle-configuration", "json"))
    assert documented == lifecycle_rules(load_worker_settings(storage="s3://scans/ocr"))


def test_the_rules_of_a_bucket_without_prefix() -> None:
    rules = lifecycle_rules(load_worker_settings(storage="s3://scans", record_ttl_s=100, cache_ttl_s=0))
    assert [rule["Filter"]["Prefix"] for rule in rules["Rules"]] == ["results/", "inputs/"]
    assert rules["Rules"][0]["Expiration"] == {"Days": 1}


def test_of_a_failed_job_the_image_stays_for_its_replay(registry: WorkerRegistry, storage: Storage) -> None:
    name = f"{uuid.uuid4().hex * 2}.png"
    given = job(image=storage.uri(f"inputs/{name}"))
    submit(registry, given)
    hold = begun(registry)
    error = StorageUnavailable().info
    registry.finish(hold, given, Outcome(job_id=given.id, state="failed", error=error))
    seconds = registry.client.pttl(registry.keys.input(name)) / 1000
    assert seconds > registry.settings.dead_letter_ttl_s
