"""A job that takes too much time, memory or disk, or whose engine goes astray, fails; its worker goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import JobStatus, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.celery_messages import TASK
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.brokers import celery_app
from tests.support.gates import PLUGINS, Gates, page, with_gated
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import RedisServer, Worker, as_environment, environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))
PAGES = tiff(*(text_picture(f"page {number}") for number in (1, 2, 3)))
ARGUMENTS = ("--engine", "null", "-c", "1")


@dataclass(frozen=True)
class Place:
    settings: WorkerSettings
    queue: OcrQueue
    worker: Worker


def new_settings(redis: RedisServer, folder: Path, **given: object) -> WorkerSettings:
    (folder / "storage").mkdir()
    return load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{folder}/storage",
        **{"worker_heartbeat_s": 1, **given},
    )


@pytest.fixture(scope="module")
def place(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A worker with the default time limits, and memory for small pages only."""
    folder = tmp_path_factory.mktemp("limits")
    settings = new_settings(
        redis, folder, job_memory_limit_mib=256, max_memory_per_child_mib=200, retry_limit=1, retry_backoff_s=0.1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        arguments = (*ARGUMENTS, "--engine", "gated")
        with OcrQueue(settings) as queue, worker(as_environment(settings), folder, *arguments) as running:
            yield Place(settings, queue, running)


def ending(status: JobStatus) -> tuple[str, str | None]:
    return status.state, status.error.code if status.error else None


def test_a_job_that_stalls_ends_at_its_own_limit(place: Place) -> None:
    children = place.worker.children()
    arguments = ("--engine", "null", "-o", "fault=stall", "--time-limit", "1", "--wait", "--json", "-")
    image = place.queue.storage.put("inputs/hello.png", HELLO, "image/png")
    ended = subprocess.run(
        [sys.executable, "-m", "ocrqueue.cli", "submit", *arguments],
        env=environment(as_environment(place.settings)),
        input=image,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    status = JobStatus.model_validate(json.loads(ended.stdout))
    assert ending(status) == ("failed", "engine.timeout")
    assert status.error is not None
    assert status.error.message == "Not finished after 1 s."
    assert status.started_at is not None
    assert status.finished_at is not None
    # the worker's own limit is 240 s
    assert 0.9 < (status.finished_at - status.started_at).total_seconds() < 60
    assert place.worker.children() == children


def test_pages_read_before_the_jobs_own_limit_stay(place: Place, gates: Gates) -> None:
    pages = tiff(*(Image.new("L", (width, 40), 255) for width in (61, 62, 63)))
    gates.open([61, 62])
    job = place.queue.submit(pages, **gates.fields, time_limit_s=15)
    assert ending(job.wait(60)) == ("partial", "engine.timeout")
    assert [page.error.code if page.error else None for page in job.result().pages] == [None, None, "engine.timeout"]


def test_limits_in_a_messages_header_do_not_count(place: Place) -> None:
    """Anyone who may publish could set them, and lift the worker's own."""
    image = place.queue.storage.put("inputs/hello.png", HELLO, "image/png")
    job = {"image": image, "engine": "null", "options": {"delay_s": 1.5}}
    with celery_app(place.settings) as app:
        sent = app.send_task(
            TASK, kwargs={"job": job}, queue="ocr.null", time_limit=0.5, soft_time_limit=0.2, ignore_result=True
        )
    wait_until(lambda: registry_of(place.queue).jobs([sent.id]) != [None], 60, "it is taken in")
    assert place.queue.job(sent.id).wait(60).state == "succeeded"


def test_a_job_that_exhausts_memory_fails_and_its_child_is_replaced(place: Place) -> None:
    (child,) = place.worker.children()
    exhausted = place.queue.submit(HELLO, engine="null", options={"fault": "exhaust"})
    behind = place.queue.submit(HELLO, engine="null")
    status = exhausted.wait(60)
    assert (*ending(status), status.attempts) == ("failed", "engine.out_of_memory", 1)
    assert behind.wait(60).state == "succeeded"
    assert child not in place.worker.children()
    assert place.worker.alive()


def test_a_page_that_exhausts_memory_leaves_the_others(place: Place) -> None:
    job = place.queue.submit(PAGES, engine="null", options={"fault": "exhaust", "fault_page": 2})
    assert ending(job.wait(60)) == ("partial", "engine.out_of_memory")
    assert [page.error is None for page in job.result().pages] == [True, False, True]


def test_garbage_from_the_engine_is_its_pages_error(place: Place) -> None:
    options = {"fault": "garbage", "garbage": "surrogate", "fault_page": 2}
    job = place.queue.submit(PAGES, engine="null", options=options)
    assert ending(job.wait(60)) == ("partial", "engine.failed")
    document = job.result()
    assert [page.text for page in document.pages] == ["null1", "", "null1"]
    assert document.errors[0].message == "null returned word p002-w0001 with an invalid text: '\\ud800'."


def test_a_full_disk_is_worth_another_try(place: Place) -> None:
    status = place.queue.submit(HELLO, engine="null", options={"fault": "disk_full"}).wait(60)
    assert (*ending(status), status.attempts) == ("failed", "worker.disk_full", 2)
    assert status.id in [letter.id for letter in place.queue.dead_letters.list()]


def test_a_job_cannot_raise_the_workers_limit_and_a_hang_is_killed(redis: RedisServer, tmp_path: Path) -> None:
    settings = new_settings(redis, tmp_path, soft_time_limit_s=5, hard_time_limit_s=7)
    with OcrQueue(settings) as queue, worker(as_environment(settings), tmp_path, *ARGUMENTS) as running:
        stalled = queue.submit(HELLO, engine="null", options={"fault": "stall"}, time_limit_s=86_400).wait(60)
        assert ending(stalled) == ("failed", "engine.timeout")
        assert stalled.error is not None
        assert stalled.error.message == "Not finished after 5 s."
        (child,) = running.children()
        hung = queue.submit(HELLO, engine="null", options={"fault": "hang"}, time_limit_s=4).wait(60)
        assert ending(hung) == ("failed", "engine.timeout")
        assert hung.error is not None
        assert hung.error.message == "Killed after 6 s."
        assert queue.submit(HELLO, engine="null").wait(60).state == "succeeded"
        assert child not in running.running_children()


LEAKY = """
from billiard import current_process

from ocrqueue.core import WorkerRegistry
from ocrqueue.storage.files import FileStorage
from ocrqueue_worker.app import app
from ocrqueue_worker.broker.messages import PartMessage

def out_of_memory_once(function, sign):
    met = []

    def call(*args, **named):
        if current_process().daemon and sign in str(args) and not met:
            met.append(sign)
            raise MemoryError
        return function(*args, **named)

    return call


PartMessage.read_job = out_of_memory_once(PartMessage.read_job, "at the start")
WorkerRegistry.finish_each = out_of_memory_once(WorkerRegistry.finish_each, "at the end")
FileStorage.put = out_of_memory_once(FileStorage.put, "w0003")
"""


def test_want_of_memory_anywhere_in_the_child_is_an_error_of_the_job(redis: RedisServer, tmp_path: Path) -> None:
    """Even where ocrqueue cannot catch it: Celery would end the worker, and deliver the job to the next."""
    settings = new_settings(redis, tmp_path, worker_heartbeat_s=0.3, lost_after_s=3)
    (tmp_path / "leaky.py").write_text(LEAKY)
    arguments = ("-A", "leaky:app", "worker", "-Q", "ocr.null", "-c", "1", "--without-mingle", "--without-gossip")
    with (
        OcrQueue(settings) as queue,
        worker(as_environment(settings), tmp_path, *arguments, command=("-m", "celery")) as running,
    ):
        jobs = [
            queue.submit(HELLO, engine="null", tag="at the start"),
            queue.submit(HELLO, engine="null", tag="at the end"),
            queue.submit(HELLO, engine="null", options={"words": 5}),
        ]
        assert [(*ending(job.wait(60)), job.status().attempts) for job in jobs] == [
            ("succeeded", None, 1),  # not begun: back in its lane
            ("failed", "engine.out_of_memory", 1),
            ("failed", "engine.out_of_memory", 1),
        ]
        wait_until(lambda: not list(queue.storage.list(f"results/{jobs[2].id}")), 60, "its crops are gone")
        assert running.alive()
        assert check(registry_of(queue)) == []


def test_nothing_is_taken_for_a_child_that_is_about_to_be_replaced(
    redis: RedisServer, tmp_path: Path, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the next one has loaded its engine, which may take a minute, another worker may have what waits."""
    closed = tmp_path / "loading is closed"
    monkeypatch.setenv("GATED_LOAD", str(closed))
    settings = with_gated(new_settings(redis, tmp_path, max_memory_per_child_mib=1))
    arguments = ("--engine", "gated", "-c", "1")
    with OcrQueue(settings) as queue, worker(as_environment(settings), tmp_path, *arguments) as running:
        (child,) = running.running_children()
        first, second = queue.submit(page(60), **gates.fields), queue.submit(page(70), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "the child has a page")
        closed.touch()
        gates.open([60, 70])
        assert first.wait(60).state == "succeeded"
        wait_until(lambda: child not in running.running_children(), 60, "it is replaced")
        key = registry_of(queue).keys.record(second.id)
        for _ in range(20):
            assert registry_of(queue).client.hget(key, "place") == b"waiting"
            time.sleep(0.05)
        closed.unlink()
        assert second.wait(60).state == "succeeded"


def test_children_that_are_replaced_after_each_job_read_all(redis: RedisServer, tmp_path: Path) -> None:
    settings = new_settings(redis, tmp_path, max_memory_per_child_mib=1)
    with OcrQueue(settings) as queue, worker(as_environment(settings), tmp_path, *ARGUMENTS):
        jobs = queue.submit_many([HELLO] * 8, engine="null", cache=False)
        assert [(job.wait(60).state, job.status().attempts) for job in jobs] == [("succeeded", 1)] * 8
