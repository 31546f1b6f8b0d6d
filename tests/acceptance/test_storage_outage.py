"""Storage that fails under a worker: refusing, overloaded, stalling, cut off in the middle of what is stored."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from ocrqueue import Document, Job, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core import live_workers
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.job import CropMode
from ocrqueue.settings import load_worker_settings
from tests.support.gates import Gates, page
from tests.support.pictures import png
from tests.support.processes import RedisServer, as_environment, wait_until, worker
from tests.support.proxy import Mode, Proxy, proxy

pytest_plugins = ["tests.support.server_fixtures"]

WORDS = 40
PICTURE = Image.frombytes("L", (640, 400), os.urandom(640 * 400))
"""Noise: no crop looks like another, and each takes 6.5 kB."""
MIDDLE = 60_000
"""Bytes sent to storage after which about a quarter of the crops is there."""


@dataclass(frozen=True)
class Installation:
    """A worker whose every request to storage passes `between`, and an app that has the storage to itself."""

    queue: OcrQueue
    between: Proxy
    image: str

    def submit(self, crops: CropMode) -> Job:
        return self.queue.submit(self.image, engine="null", options={"words": WORDS}, crops=crops, crop_padding=0)

    def stored(self, job: Job) -> set[str]:
        storage = self.queue.storage
        return {storage.uri(key) for key in storage.list(f"results/{job.id}")}

    def has_result(self, job: Job) -> bool:
        return self.queue.storage.exists(f"results/{job.id}/result.json")

    def check_complete(self, job: Job, crops: CropMode) -> Document:
        """The job has succeeded; its result and every crop are there, and nothing else is."""
        status = job.wait(100)
        assert (status.state, status.words, status.error) == ("succeeded", WORDS, None)
        document = job.result()
        words = list(document.words())
        named = {word.crop.uri for word in words if word.crop}
        assert self.stored(job) == {*named, status.result}
        if crops == "none":
            assert not named
            return document
        for word in words:
            assert word.crop is not None
            left, top, right, bottom = (round(edge) for edge in word.bbox)
            with word.crop.image() as crop:
                assert crop.tobytes() == PICTURE.crop((left, top, right, bottom)).tobytes()
        return document


@pytest.fixture(scope="module")
def running(
    redis: RedisServer, s3_endpoint: str, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder, scans = tmp_path_factory.mktemp("worker"), tmp_path_factory.mktemp("scans")
    (scans / "noise.png").write_bytes(png(PICTURE))
    server = urlsplit(s3_endpoint)
    assert server.hostname is not None
    assert server.port is not None
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"s3://{s3_bucket}/{uuid.uuid4().hex[:8]}",
        s3_endpoint=s3_endpoint,
        # a server that is held up for a moment is no outage
        s3_timeout_s=5,
        s3_attempts=1,
        upload_threads=2,
        source_file_roots=str(scans),
        # a test that is held up looks before they are over
        retry_limit=8,
        retry_backoff_s=0.3,
        retry_backoff_max_s=1,
        worker_heartbeat_s=1,
    )
    with proxy(server.port, server.hostname) as between:
        behind = as_environment(settings) | {"s3_endpoint": f"http://127.0.0.1:{between.port}"}
        patient = settings.model_copy(update={"s3_timeout_s": 60, "s3_attempts": 4})
        with worker(behind, folder, "--engine", "null", "-c", "1"), OcrQueue(patient) as queue:
            yield Installation(queue, between, Path(scans / "noise.png").as_uri())


@pytest.fixture
def installation(running: Installation) -> Iterator[Installation]:
    yield running
    running.between.cut_after(0, times=0)
    running.between.set("pass")


def fails_for_now(job: Job) -> bool:
    status = job.status()
    assert status.state in {"queued", "running"}, status
    return status.state == "queued" and status.error is not None and status.error.code == "storage.unavailable"


@pytest.mark.parametrize(
    ("mode", "crops"),
    [("refuse", "objects"), ("unavailable", "archive"), ("stall", "objects"), ("reset", "archive"), ("stall", "none")],
)
def test_an_outage_that_ends_in_time_is_only_waited_for(
    installation: Installation, mode: Mode, crops: CropMode
) -> None:
    installation.between.set(mode)
    job = installation.submit(crops)
    wait_until(lambda: fails_for_now(job), 60, "the attempt fails for want of storage")
    assert installation.stored(job) == set()
    installation.between.set("pass")
    document = installation.check_complete(job, crops)
    assert job.status().attempts >= 2
    # what had stalled is stored once it flows on: with crops="none" that is the first attempt's whole result
    assert document.attempts >= (2 if crops != "none" else 1)


def test_an_outage_costs_no_retry_however_long_it_lasts(installation: Installation) -> None:
    """The worker's own access is broken: it takes nothing meanwhile, and what it had goes back uncounted."""

    def troubles() -> list[str]:
        return [each.error.code for worker in live_workers(registry_of(installation.queue)) for each in worker.troubles]

    installation.between.set("refuse")
    job = installation.submit("none")
    wait_until(lambda: troubles() == ["storage.unavailable"], 60, "the worker says what is wrong")
    wait_until(lambda: job.status().state == "queued", 60, "the job waits")
    attempts = job.status().attempts
    time.sleep(3)
    assert (job.status().state, job.status().attempts) == ("queued", attempts)
    installation.between.set("pass")
    installation.check_complete(job, "none")
    assert job.status().attempts == attempts + 1
    retries = registry_of(installation.queue).client.hget(
        registry_of(installation.queue).keys.record(job.id), "retries"
    )
    assert retries is None
    wait_until(lambda: troubles() == [], 60, "nothing is wrong any more")


@pytest.mark.parametrize("crops", ["objects", "archive"])
def test_a_failure_in_the_middle_of_the_crops_leaves_no_result(installation: Installation, crops: CropMode) -> None:
    installation.between.cut_after(MIDDLE, times=1000, together=True)
    job = installation.submit(crops)
    wait_until(lambda: fails_for_now(job), 60, "the attempt fails for want of storage")
    assert installation.between.cuts > 0
    assert not installation.has_result(job)
    if crops == "objects":
        assert 0 < len(installation.stored(job)) < WORDS
    installation.between.cut_after(0, times=0)
    assert installation.check_complete(job, crops).attempts >= 2


def test_an_outage_that_outlasts_the_retries_makes_a_dead_letter_that_can_be_replayed(
    installation: Installation,
) -> None:
    """What is small is stored all the while, and the worker's look at its own access finds nothing wrong."""
    dead, before = DeadLetters(registry_of(installation.queue)), installation.between.cuts
    installation.between.cut_after(MIDDLE, times=1000)
    job = installation.submit("archive")
    wait_until(lambda: installation.between.cuts > before, 60, "storage fails in the middle")
    status = job.wait(100)
    assert (status.state, status.error and status.error.code) == ("failed", "storage.unavailable")
    # a look that was cut off by chance gives the part back uncounted
    assert status.attempts >= 1 + installation.queue.settings.retry_limit
    assert dead.ids() == [job.id]
    assert not installation.has_result(job)

    installation.between.cut_after(0, times=0)
    installation.between.set("pass")
    dead.replay(job.id)
    assert installation.check_complete(job, "archive").attempts == 1
    assert [ended.state for ended in job.status().history] == ["failed"]
    assert dead.ids() == []


def test_what_waits_behind_a_result_that_takes_long_to_store_goes_back(
    redis: RedisServer, s3_endpoint: str, s3_bucket: str, tmp_path: Path, gates: Gates
) -> None:
    """It was taken while only that was left to do; another worker may have it."""
    for width in (60, 70):
        (tmp_path / f"{width}.png").write_bytes(page(width))
    server = urlsplit(s3_endpoint)
    assert server.hostname is not None
    assert server.port is not None
    with proxy(server.port, server.hostname) as between:
        settings = load_worker_settings(
            redis_url=redis.url,
            key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
            storage=f"s3://{s3_bucket}/{uuid.uuid4().hex[:8]}",
            s3_endpoint=f"http://127.0.0.1:{between.port}",
            source_file_roots=str(tmp_path),
            engines=("gated",),
        )
        asked: dict[str, Any] = {**gates.fields, "crops": "none"}
        arguments = ("--engine", "gated", "-c", "1")
        with worker(as_environment(settings), tmp_path, *arguments) as running, OcrQueue(settings) as queue:
            first = queue.submit((tmp_path / "60.png").as_uri(), **asked)
            wait_until(lambda: gates.reached(60), 60, "the child has a page")
            between.set("stall")
            second = queue.submit((tmp_path / "70.png").as_uri(), **asked)
            gates.open([60, 70])
            wait_until(lambda: "a part behind it goes back" in running.log_text(), 60, "it goes back")
            key = registry_of(queue).keys.record(second.id)
            assert registry_of(queue).client.hget(key, "place") == b"waiting"
            # a result that may be stored comes before a cancel: its child is not killed
            first.cancel()
            time.sleep(2)
            assert first.status().state == "running"
            between.set("pass")
            assert [(job.wait(60).state, job.status().attempts) for job in (first, second)] == [("succeeded", 1)] * 2
