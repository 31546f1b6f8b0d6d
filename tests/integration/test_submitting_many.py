"""What submit_many refuses, and what its errors say of the jobs that are queued by then."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ocrqueue import AsyncOcrQueue, Job, OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.errors import JobMalformed, SourceNotFound, StorageUnavailable
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import FileStorage, file_uri_path
from ocrqueue_worker.pipeline.fetching import source_of
from tests.support.processes import as_environment, environment, wait_until

IMAGE = "s3://bucket/page.png"
SubmitMany = Callable[..., Any]


@pytest.fixture(params=["threads", "asyncio"])
def submit_many(request: pytest.FixtureRequest, settings: WorkerSettings) -> SubmitMany:
    def blocking(images: Iterable[Any], **fields: Any) -> Any:
        with OcrQueue(settings) as queue:
            return queue.submit_many(images, **fields)

    async def awaited(images: Iterable[Any], **fields: Any) -> Any:
        async with AsyncOcrQueue(settings) as queue:
            return await queue.submit_many(images, **fields)

    if request.param == "threads":
        return blocking
    return lambda images, **fields: asyncio.run(awaited(images, **fields))


@pytest.mark.parametrize("name", ["id", "idempotency_key"])
def test_several_images_are_not_one_job(submit_many: SubmitMany, name: str) -> None:
    with pytest.raises(JobMalformed, match=name) as refused:
        submit_many([IMAGE] * 3, **{name: "k"})
    assert list(refused.value.submitted) == []
    assert len(submit_many([IMAGE], **{name: "k"})) == 1


def test_a_path_is_not_a_list_of_its_letters(submit_many: SubmitMany) -> None:
    with pytest.raises(JobMalformed, match="several images"):
        submit_many("a.jpg")
    with pytest.raises(JobMalformed, match="several images"):
        submit_many(b"GIF8")


def test_an_error_midway_names_what_is_queued_and_what_is_not(
    submit_many: SubmitMany, settings: WorkerSettings
) -> None:
    with pytest.raises(SourceNotFound) as missing:
        submit_many([*[IMAGE] * 700, "/nowhere.png", IMAGE])
    handles = missing.value.submitted
    assert len(handles) == 700
    assert states(settings, handles) == {"queued"}
    assert missing.value.unsubmitted[0] == "/nowhere.png"


def test_images_after_a_bad_one_are_not_queued(submit_many: SubmitMany, settings: WorkerSettings) -> None:
    with pytest.raises(SourceNotFound) as missing:
        submit_many([b"GIF8 a", "/nowhere.png", b"GIF8 b"], tag="t")
    assert len(missing.value.submitted) == 1
    bad, after = missing.value.unsubmitted
    assert bad == "/nowhere.png"
    # a job, if its upload had begun
    assert after == b"GIF8 b" or isinstance(after, Job)
    assert len(submit_many([after])) == 1


def test_an_exception_of_the_iterable_has_a_note(submit_many: SubmitMany) -> None:
    def images() -> Iterable[str]:
        yield from [IMAGE] * 700
        raise ValueError("a row is broken")

    with pytest.raises(ValueError, match="row is broken") as broken:
        submit_many(images())
    assert broken.value.__notes__ == ["The first 700 images were queued."]


def states(settings: WorkerSettings, handles: Iterable[Any]) -> set[str]:
    with OcrQueue(settings) as queue:
        return {status.state for status in registry_of(queue).statuses([job.id for job in handles]) if status}


def waiting(settings: WorkerSettings) -> int:
    with OcrQueue(settings) as queue:
        return len(queue.jobs(state="queued").jobs)


def test_few_images_do_not_wait_for_500(submit_many: SubmitMany, settings: WorkerSettings) -> None:
    def images() -> Iterable[str]:
        for number in range(1, 4):
            yield IMAGE
            wait_until(lambda number=number: waiting(settings) == number, 60, "the job is queued")

    assert len(submit_many(images())) == 3


def test_uploads_go_side_by_side_and_not_all_at_once(
    submit_many: SubmitMany, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, lock, now, most = FileStorage.put, threading.Lock(), 0, 0
    two = threading.Barrier(2)

    def counted(*arguments: Any) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        two.wait(60)
        try:
            return put(*arguments)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(FileStorage, "put", counted)
    handles = submit_many([b"GIF8 %d" % number for number in range(40)])
    assert 2 <= most <= settings.upload_threads
    with OcrQueue(settings) as queue:
        jobs = registry_of(queue).jobs([job.id for job in handles])
        read = [queue.storage.read_uri(job.image) for job in jobs if job]
    assert read == [b"GIF8 %d" % number for number in range(40)]


def test_an_iterator_yields_handles_as_they_are_queued(settings: WorkerSettings) -> None:
    taken = 0

    def images() -> Iterable[str]:
        nonlocal taken
        while taken < 2000:
            taken += 1
            yield IMAGE
        raise ValueError("a row is broken")

    with OcrQueue(settings) as queue:
        handles = queue.submit_iter(images())
        first = next(handles)
        assert first.status().state == "queued"
        assert taken < 1100
        rest: list[SubmittedJob] = []
        with pytest.raises(ValueError, match="broken"):
            rest.extend(handles)
        assert len(rest) == 1999


async def test_an_async_iterable_is_awaited(settings: WorkerSettings) -> None:
    async def images() -> AsyncIterator[str]:
        for number in range(1, 4):
            yield IMAGE
            while await asyncio.to_thread(waiting, settings) < number:
                await asyncio.sleep(0.02)

    async with AsyncOcrQueue(settings) as queue:
        assert len(await queue.submit_many(images())) == 3
        assert len([job async for job in queue.submit_iter(images())]) == 3
        with pytest.raises(JobMalformed, match="share one id"):
            await queue.submit_many(images(), id="j")


async def test_an_upload_that_fails_is_told_once(settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not again in the log, by the event loop."""
    failing, told = threading.Event(), list[dict[str, Any]]()

    def fail(*_: Any) -> str:
        failing.wait(60)
        raise StorageUnavailable

    monkeypatch.setattr(FileStorage, "put", fail)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    loop.call_later(0.5, failing.set)
    async with AsyncOcrQueue(settings) as queue:
        with pytest.raises(StorageUnavailable):
            await queue.submit_many([IMAGE, b"GIF8"])
    gc.collect()
    await asyncio.sleep(0)
    assert told == []


def test_the_command_prints_ids_while_stdin_is_open(settings: WorkerSettings) -> None:
    command = [sys.executable, "-m", "ocrqueue.cli", "submit", "-"]
    with subprocess.Popen(
        command,
        env=environment(as_environment(settings)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ids = []
        for name in ("a", "b"):
            process.stdin.write(f"s3://bucket/{name}.png\n")
            process.stdin.flush()
            ids.append(process.stdout.readline().strip())
        process.stdin.close()
        assert process.wait(60) == 0
    with OcrQueue(settings) as queue:
        assert [status.image for status in registry_of(queue).statuses(ids) if status] == [
            "s3://bucket/a.png",
            "s3://bucket/b.png",
        ]


def test_the_name_of_a_file_is_kept(submit_many: SubmitMany, settings: WorkerSettings, tmp_path: Path) -> None:
    scan = tmp_path / "invoice 7.png"
    scan.write_bytes(b"GIF8")
    ids = [job.id for job in (*submit_many([str(scan), scan, b"GIF8"]), *submit_many([scan], name="mine"))]
    with OcrQueue(settings) as queue:
        names = [status.name for status in registry_of(queue).statuses(ids) if status]
        (job,) = registry_of(queue).jobs(ids[:1])
    assert names == ["invoice 7.png", "invoice 7.png", None, "mine"]
    assert job is not None
    assert source_of(job, "", 4).name == "invoice 7.png"


def test_what_was_stored_long_ago_is_stored_anew(submit_many: SubmitMany, settings: WorkerSettings) -> None:
    (first,) = submit_many([b"GIF8"])
    with OcrQueue(settings) as queue:
        stored = Path(file_uri_path(image_of(queue, first)))
        week_ago = time.time() - 6.9 * 86_400
        os.utime(stored, (week_ago, week_ago))
        (again,) = submit_many([b"GIF8"])
        assert image_of(queue, again) == stored.as_uri()
    assert stored.stat().st_mtime > week_ago + 86_400


def image_of(queue: OcrQueue, handle: Any) -> str:
    (job,) = registry_of(queue).jobs([handle.id])
    assert job is not None
    return job.image


def test_pictures_arrays_and_files_are_uploaded(submit_many: SubmitMany, settings: WorkerSettings) -> None:
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    handles = submit_many([Image.fromarray(pixels), pixels, io.BytesIO(b"GIF8")])
    with OcrQueue(settings) as queue:
        picture, array, file = [queue.storage.read_uri(image_of(queue, handle)) for handle in handles]
    assert picture == array
    assert np.asarray(Image.open(io.BytesIO(array))).tolist() == pixels.tolist()
    assert file == b"GIF8"
    with pytest.raises(JobMalformed, match="several images"):
        submit_many(pixels)
    with pytest.raises(JobMalformed, match="cannot be submitted as an image") as refused:
        submit_many([b"GIF8", 7])
    assert len(refused.value.submitted) == 1
