"""`ocrqueue watch`: each file once, whole, and moved to where it belongs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.errors import SourceInvalid
from ocrqueue.storage.s3_client import s3_client
from ocrqueue.watching import BucketPlace, Ended, FolderPlace, Watcher
from tests.integration.conftest import Installation
from tests.integration.test_cli import invoke
from tests.support.documentation import ROOT
from tests.support.processes import as_environment, wait_until

pytest_plugins = ["tests.support.server_fixtures"]

SIGN = ROOT / "samples/street-sign.jpg"
Look = Callable[[], bool]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


@pytest.fixture
def ended() -> list[Ended]:
    return []


@pytest.fixture
def watcher(queue: OcrQueue, folder: Path, ended: list[Ended]) -> Watcher:
    place = FolderPlace(folder, folder / "done", folder / "failed", recursive=True)
    return Watcher(queue, place, {"engine": "null", "crops": "none"}, settle_s=0, told=ended.append)


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SIGN, folder / name)


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def until_empty(watcher: Watcher) -> None:
    wait_until(lambda: not watcher.look(), 60, "all has ended")


def test_what_is_read_is_moved_and_what_fails_has_its_reason(
    watcher: Watcher, folder: Path, ended: list[Ended], queue: OcrQueue
) -> None:
    put(folder, "a.jpg", "deep/b.jpg", ".hidden.jpg", "c.jpg.part")
    (folder / "no image.jpg").write_bytes(b"not an image")
    (folder / "empty.jpg").touch()
    (folder / "link.jpg").symlink_to(SIGN)
    until_empty(watcher)
    assert names_in(folder) == {
        ".hidden.jpg",
        "c.jpg.part",
        "link.jpg",
        "done/a.jpg",
        "done/deep/b.jpg",
        "failed/no image.jpg",
        "failed/no image.jpg.error.txt",
        "failed/empty.jpg",
        "failed/empty.jpg.error.txt",
    }
    assert (folder / "failed/no image.jpg.error.txt").read_text().startswith("image.not_recognised: ")
    assert {each.name: each.failure and each.failure.code for each in ended} == {
        "a.jpg": None,
        "deep/b.jpg": None,
        "no image.jpg": "image.not_recognised",
        "empty.jpg": "image.empty",
    }
    (job_id,) = [each.job_id for each in ended if each.name == "a.jpg"]
    assert queue.status(job_id).name == "a.jpg"


def test_each_file_is_one_job_whoever_looks(queue: OcrQueue, folder: Path, ended: list[Ended]) -> None:
    """A watcher is killed before it has moved anything, and another one comes."""
    put(folder, "a.jpg")
    place = FolderPlace(folder, folder / "done", folder / "failed")
    tag = folder.parent.name
    watchers = [Watcher(queue, place, {"engine": "null", "tag": tag}, settle_s=0, told=ended.append) for _ in range(3)]
    for each in watchers[:2]:
        each.look()
        each.look()
    until_empty(watchers[2])
    assert names_in(folder) == {"done/a.jpg"}
    assert len({each.job_id for each in ended}) == 1
    assert len(queue.jobs(tag=tag).jobs) == 1
    # the same again is another file
    shutil.move(folder / "done/a.jpg", folder / "a.jpg")
    until_empty(watchers[2])
    assert len(queue.jobs(tag=tag).jobs) == 2


def test_a_file_that_still_grows_waits(queue: OcrQueue, folder: Path) -> None:
    place = FolderPlace(folder, folder / "done", folder / "failed")
    watcher = Watcher(queue, place, {"engine": "null"}, settle_s=3600)
    data = SIGN.read_bytes()
    (folder / "a.jpg").write_bytes(data[:100])
    assert watcher.look()
    (folder / "a.jpg").write_bytes(data)
    assert watcher.look()
    assert watcher.look()
    assert names_in(folder) == {"a.jpg"}
    (folder / "a.jpg").unlink()
    assert not watcher.look()


def test_a_file_that_changes_under_way_is_read_again(watcher: Watcher, folder: Path, ended: list[Ended]) -> None:
    put(folder, "a.jpg")
    watcher.look()
    watcher.look()
    shutil.copyfile(ROOT / "samples/receipt.jpg", folder / "a.jpg")
    until_empty(watcher)
    assert names_in(folder) == {"done/a.jpg"}
    assert (folder / "done/a.jpg").read_bytes() == (ROOT / "samples/receipt.jpg").read_bytes()
    assert len(ended) == 1


def test_nothing_is_overwritten(watcher: Watcher, folder: Path, ended: list[Ended]) -> None:
    for _ in range(2):
        put(folder, "a.jpg")
        until_empty(watcher)
    assert names_in(folder) == {"done/a.jpg", f"done/a-{ended[1].job_id}.jpg"}


def test_only_so_many_are_under_way(queue: OcrQueue, folder: Path, ended: list[Ended]) -> None:
    put(folder, *(f"{number}.jpg" for number in range(5)))
    place = FolderPlace(folder, folder / "done", folder / "failed")
    watcher = Watcher(queue, place, {"engine": "null"}, settle_s=0, at_once=2, told=ended.append)
    before = len(queue.jobs(limit=1000).jobs)
    watcher.look()
    watcher.look()
    assert len(queue.jobs(limit=1000).jobs) - before <= 4
    until_empty(watcher)
    assert len(ended) == 5


def test_what_is_read_cannot_go_where_it_is_watched(folder: Path, installation: Installation) -> None:
    with pytest.raises(SourceInvalid):
        FolderPlace(folder, folder, folder / "failed")
    with pytest.raises(SourceInvalid):
        BucketPlace(installation.settings, "s3://a/in/", "s3://a/in", "s3://a/failed")


def test_a_prefix_of_a_bucket(queue: OcrQueue, installation: Installation, s3_bucket: str, ended: list[Ended]) -> None:
    settings, base = installation.settings, f"watched-{os.getpid()}"
    s3 = s3_client(settings)
    for name, body in {"a b.jpg": SIGN.read_bytes(), "bad.jpg": b"not an image"}.items():
        s3.put_object(Bucket=s3_bucket, Key=f"{base}/{name}", Body=body)
    place = BucketPlace(
        settings, f"s3://{s3_bucket}/{base}", f"s3://{s3_bucket}/{base}/done", f"s3://{s3_bucket}/{base}/failed"
    )
    watcher = Watcher(queue, place, {"engine": "null", "crops": "none"}, told=ended.append)
    until_empty(watcher)
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=s3_bucket, Prefix=f"{base}/")["Contents"]}
    assert keys == {f"{base}/{name}" for name in ("done/a b.jpg", "failed/bad.jpg", "failed/bad.jpg.error.txt")}
    assert {each.name: each.failure and each.failure.code for each in ended} == {
        "a b.jpg": None,
        "bad.jpg": "image.not_recognised",
    }


def test_the_command_ends_when_nothing_is_left(installation: Installation, folder: Path) -> None:
    put(folder, "a.jpg")
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(installation.settings).items()}
    options = ("--once", "--settle", "0", "--interval", "0.1", "-e", "null", "--json")
    done = invoke("watch", str(folder), "--move", str(folder.parent / "read"), *options, **given)
    (told,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (told["name"], told["error"]) == ("a.jpg", None)
    assert names_in(folder.parent / "read") == {"a.jpg"}
    (folder / "bad.jpg").write_bytes(b"not an image")
    failed = invoke("watch", str(folder), *options, status=1, **given)
    assert json.loads(failed.stdout)["error"]["code"] == "image.not_recognised"
    assert "is no folder" in invoke("watch", str(folder / "none"), status=2, **given).stderr


@pytest.fixture
def running(installation: Installation, folder: Path) -> Iterator[subprocess.Popen[str]]:
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(installation.settings).items()}
    command = [sys.executable, "-m", "ocrqueue.cli", "watch", str(folder), "-e", "null", "--settle", "0"]
    with subprocess.Popen(
        [*command, "--interval", "0.1"], env=os.environ | given, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_sigterm_ends_it(running: subprocess.Popen[str], folder: Path) -> None:
    put(folder, "a.jpg")
    assert running.stdout is not None
    assert running.stdout.readline().startswith("done ")
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
