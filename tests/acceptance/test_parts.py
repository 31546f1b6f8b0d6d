"""Documents that are read in parts, by real workers: all goes well, or something ends in the middle of it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from ocrqueue import AsyncOcrQueue, OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.errors import JobNotFinished, PageNotFound
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.batches import log_lines
from tests.support.gates import BATCHED, ENGINE, PLUGINS, Gates, with_gated
from tests.support.gateways import gateway_of
from tests.support.pictures import tiff
from tests.support.processes import RedisServer, Worker, as_environment, wait_until, worker

WIDTHS = tuple(range(60, 66))
"""Of pages that wait at a gate each."""
QUICK = {"worker_heartbeat_s": 0.3, "lost_after_s": 3}


@dataclass(frozen=True)
class Installation:
    queue: OcrQueue
    worker: Worker
    sources: Path
    """Where documents are kept for their other parts."""


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return with_gated(settings)


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue
        assert check(registry_of(queue)) == []


@pytest.fixture(scope="module")
def at_work(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A worker with two children, for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "storage").mkdir()
    settings = with_gated(
        load_worker_settings(
            redis_url=redis.url,
            key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
            storage=f"file://{folder}/storage",
            worker_heartbeat_s=1,
            engine_page_cost=f"0,{ENGINE}=250",
            source_cache_dir=str(folder / "sources"),
            retry_limit=1,
            retry_backoff_s=0.1,
            # a job that lowers the soft limit has the hard one a second later
            soft_time_limit_s=100,
            hard_time_limit_s=101,
            # what only the end of a lease would bring back is not back within the tests' patience
            lost_after_s=120,
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        arguments = ("--engine", ENGINE, "--engine", BATCHED, "-c", "2")
        with worker(as_environment(settings), folder, *arguments) as started, OcrQueue(settings) as queue:
            yield Installation(queue, started, folder / "sources")


@pytest.fixture
def installation(at_work: Installation) -> Iterator[Installation]:
    yield at_work
    assert check(registry_of(at_work.queue)) == []
    assert at_work.worker.alive()


def document_of(widths: tuple[int, ...]) -> bytes:
    return tiff(*(Image.new("L", (width, 40), 255) for width in widths))


def submit(queue: OcrQueue, image: bytes | str, gates: Gates | None = None, **options: object) -> SubmittedJob:
    """A job that is read in parts; with `gates` its pages wait."""
    engine = options.pop("engine", ENGINE)
    crops, limit_s = options.pop("crops", "none"), options.pop("time_limit_s", None)
    asked = {"split": True, **({"gates": str(gates.folder)} if gates else {}), **options}
    return queue.submit(image, engine=str(engine), crops=crops, options=asked, time_limit_s=limit_s)  # type: ignore[arg-type]  # fields of several types in one dict


def pages_done(worker: Worker, job: SubmittedJob, number: int) -> dict[int, int]:
    """By page, the attempt that read it; no page is done twice. `number`: of pages that the worker is to tell of.

    A child says so once Redis knows of the page: when the job has ended, another child may still be about to.
    """

    def done() -> list[dict[str, Any]]:
        return log_lines(worker, event="page is done", job_id=job.id)

    wait_until(lambda: len(done()) >= number, 60, "what was read is logged")
    told = done()
    assert max(Counter(line["page"] for line in told).values(), default=1) == 1
    return {line["page"]: line["attempt"] for line in told}


def stored(queue: OcrQueue, job: SubmittedJob) -> list[str]:
    return sorted(key.removeprefix(f"results/{job.id}/") for key in queue.storage.list(f"results/{job.id}/"))


def waiting(queue: OcrQueue, lane: str = f"ocr.{ENGINE}") -> int:
    return int(registry_of(queue).client.zcard(registry_of(queue).keys.queue(lane, "")))


def usage(queue: OcrQueue) -> dict[str, float]:
    seconds, _ = registry_of(queue).client.time()
    found = registry_of(queue).client.hgetall(registry_of(queue).keys.usage(seconds // 86400, ""))
    return {name.decode(): float(value) for name, value in found.items()}


def test_a_hundred_pages_are_read_by_two_children(installation: Installation, gates: Gates) -> None:
    queue, before = installation.queue, usage(installation.queue)
    job = submit(queue, document_of((60,) * 100), gates, crops="archive", words=2)
    wait_until(lambda: job.status().pages == 100, 60, "it is split")
    wait_until(lambda: waiting(queue) == 32, 60, "two pages are in hand, and 32 wait")
    assert job.status().state == "running"
    most = 0
    gates.open([60])
    while not job.status().finished:
        most = max(most, waiting(queue))
    assert most <= 32
    document = job.result()
    assert [page.number for page in document.pages] == list(range(1, 101))
    assert (document.status, document.attempts, len({word.id for word in document.words()})) == ("succeeded", 1, 200)
    for word in document.words():
        assert word.crop is not None
        assert word.crop.image().width > 0
    status = job.status()
    assert (status.attempts, status.pages_done, status.pages, status.words) == (1, 100, 100, 200)
    assert 0 < status.timings.ocr_s <= status.timings.total_s
    assert pages_done(installation.worker, job, 100) == dict.fromkeys(range(1, 101), 1)
    # it is large: its pages stay where their parts have left them
    assert sum(key.startswith("pages/") for key in stored(queue, job)) == 100
    after = usage(queue)
    counted = {name: after[name] - before.get(name, 0) for name in ("jobs", "pages", "cost")}
    # 1,000 pages cost 2.50
    assert counted == {"jobs": 1, "pages": 100, "cost": pytest.approx(0.25)}


def test_a_page_whose_child_is_killed_is_read_again_and_no_other(installation: Installation, gates: Gates) -> None:
    queue, started = installation.queue, installation.worker
    gates.open(WIDTHS[:2])
    job = submit(queue, document_of(WIDTHS), gates)
    wait_until(lambda: gates.reached(62) and gates.reached(63), 60, "both children are at a page")
    assert job.status().pages_done == 2
    os.kill(started.running_children()[0], signal.SIGKILL)
    wait_until(lambda: log_lines(started, event="the child of a part is lost"), 60, "its end is noticed")
    gates.open(WIDTHS)
    assert job.wait(100).state == "succeeded"
    assert sorted(pages_done(started, job, 6).values()) == [1, 1, 1, 1, 1, 2]
    assert job.result().pages[5].width == 65


@pytest.mark.parametrize("fault", ["error", "retryable", "stall", "hang", "kill"])
def test_a_page_that_fails_leaves_the_others_their_pages(installation: Installation, fault: str) -> None:
    """The last page: whoever settles it is handed the closing part, or has it queued."""
    codes = {"error": "engine.failed", "retryable": "source.unavailable", "kill": "job.poison"}
    # time enough for the pages before, also where a child is held up
    limit_s = 6 if fault in ("stall", "hang") else None
    job = submit(installation.queue, document_of(WIDTHS[:3]), fault=fault, fault_page=3, time_limit_s=limit_s)
    status = job.wait(100)
    assert (status.state, status.pages, status.error and status.error.code) == (
        "partial",
        3,
        codes.get(fault, "engine.timeout"),
    )
    assert [page.error is None for page in job.result().pages] == [True, True, False]
    assert stored(installation.queue, job) == ["result.json"]


def test_a_page_that_kills_each_engine_of_its_route_leaves_the_others_their_pages(installation: Installation) -> None:
    """The last page: its taker does not read it, but gathers the others."""
    asked = {"split": True, "fault": "kill", "fault_page": 3}
    job = installation.queue.submit(
        document_of(WIDTHS[:3]),
        engine=ENGINE,
        fallback=[BATCHED],
        crops="none",
        options={ENGINE: asked, BATCHED: asked},  # type: ignore[dict-item]  # values of several types
    )
    status = job.wait(300)
    assert (status.state, status.pages, status.error and status.error.code) == ("partial", 3, "job.poison")
    assert [page.error is None for page in job.result().pages] == [True, True, False]


def test_a_document_without_a_readable_page_fails_with_the_error_of_the_first(installation: Installation) -> None:
    job = submit(installation.queue, document_of(WIDTHS[:3]), fault="error")
    status = job.wait(100)
    assert (status.state, status.error and status.error.code) == ("failed", "engine.failed")
    wait_until(lambda: stored(installation.queue, job) == [], 60, "the worker on duty has removed its crops")


def test_pages_of_one_document_go_through_the_engine_together(installation: Installation, gates: Gates) -> None:
    queue, started = installation.queue, installation.worker
    job = submit(queue, document_of(WIDTHS), gates, engine=BATCHED, together=3)
    wait_until(lambda: sum(map(gates.reached, WIDTHS)) > 0, 60, "pages are in the engine")
    gates.open(WIDTHS)
    assert job.wait(100).state == "succeeded"
    assert [page.width for page in job.result().pages] == list(WIDTHS)
    assert pages_done(started, job, 6) == dict.fromkeys(range(1, 7), 1)

    def were_together() -> bool:
        batches = log_lines(started, event="batch ended")
        return bool(sum(line["pages"] for line in batches) > sum(line["calls"] for line in batches))

    # a child says so after the end of its last page
    wait_until(were_together, 60, "batches with fewer calls than pages are logged")


def test_a_document_that_changes_while_it_is_read_ends_with_an_error_of_its_own(
    installation: Installation, gates: Gates
) -> None:
    queue, key = installation.queue, "inputs/changing.tiff"
    uri = queue.storage.put(key, document_of(WIDTHS), "image/tiff")
    job = submit(queue, uri, gates)
    wait_until(lambda: gates.reached(60) and gates.reached(61), 60, "two pages have been fetched")
    queue.storage.put(key, document_of(WIDTHS[::-1]), "image/tiff")
    for kept in installation.sources.iterdir():
        kept.unlink()  # as on another machine
    gates.open(WIDTHS)
    status = job.wait(100)
    assert (status.state, status.error and status.error.code) == ("failed", "source.changed")
    wait_until(lambda: stored(queue, job) == [], 60, "its pages are removed")
    queue.dead_letters.replay(job.id)
    assert job.wait(100).state == "succeeded"
    assert [page.width for page in job.result().pages] == list(WIDTHS[::-1])
    assert stored(queue, job) == ["result.json"]


def test_a_document_cancelled_midway_leaves_nothing(installation: Installation, gates: Gates) -> None:
    queue = installation.queue
    gates.open(WIDTHS[:2])
    job = submit(queue, document_of((*WIDTHS, *WIDTHS[2:] * 10)), gates)
    wait_until(lambda: gates.reached(62) and gates.reached(63), 60, "two pages are done, two are being read")
    assert [key for key in stored(queue, job) if key.startswith("pages/")] != []
    assert job.cancel() == "running"
    assert job.wait(60).state == "cancelled"
    assert waiting(queue) == 0
    wait_until(lambda: stored(queue, job) == [], 60, "its pages are removed")


def test_a_closing_part_whose_worker_is_killed_is_closed_by_another(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    quick = as_environment(settings) | QUICK
    keys, client = registry_of(queue).keys, registry_of(queue).client
    gates.open(WIDTHS[:3])
    with worker(quick, tmp_path, "--engine", ENGINE, "-c", "1") as killed:
        job = submit(queue, document_of(WIDTHS[:4]), gates)
        wait_until(lambda: gates.reached(63), 60, "three pages are done")
        (first,) = [key for key in stored(queue, job) if key.endswith("00001.json")]
        path = tmp_path / "storage" / "results" / job.id / first
        read = path.read_bytes()
        # whoever opens it waits
        path.unlink()
        os.mkfifo(path)
        gates.open(WIDTHS)
        wait_until(lambda: client.hexists(keys.record(job.id), "closing"), 60, "its pages are being gathered")
        lease = client.zscore(keys.leases(), job.id)
        assert lease is not None
        wait_until(lambda: (client.zscore(keys.leases(), job.id) or 0) > lease, 60, "heartbeats extend the lease")
        assert len(pages_done(killed, job, 4)) == 4
        os.killpg(killed.pid, signal.SIGKILL)
    path.unlink()
    path.write_bytes(read)
    with worker(quick, tmp_path, "--engine", ENGINE, "-c", "1") as other:
        assert job.wait(100).state == "succeeded"
        assert pages_done(other, job, 0) == {}
    assert [page.width for page in job.result().pages] == list(WIDTHS[:4])
    assert stored(queue, job) == ["result.json"]


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_read_in_parts_too(settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, pool: str) -> None:
    plain = ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "2", "-Q", "ocr.null")
    with worker(as_environment(settings), tmp_path, command=plain) as started:
        job = submit(queue, document_of(WIDTHS), engine="null", words=3, crops="objects")
        assert job.wait(100).state == "succeeded"
        assert pages_done(started, job, 6) == dict.fromkeys(range(1, 7), 1)
    assert all(word.crop and word.crop.image() for word in job.result().words())
    assert sum(key.startswith("crops/") for key in stored(queue, job)) == 18


def test_a_worker_that_is_told_to_stop_leaves_the_other_pages_to_others(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    patient = as_environment(settings) | {"lost_after_s": 100, "shutdown_grace_s": 100}
    with worker(patient, tmp_path, "--engine", ENGINE, "-c", "1") as stopped:
        job = submit(queue, document_of(WIDTHS), gates)
        wait_until(lambda: gates.reached(60), 60, "the first page is being read")
        stopped.process.send_signal(signal.SIGTERM)
        wait_until(gates.worker_stops, 60, "it has heard it")
        gates.open(WIDTHS)
        stopped.process.wait(90)
    # not by its log: the worker ends once Redis knows of the page, and its child may not come to say so
    assert job.status().pages_done == 1
    with worker(patient, tmp_path, "--engine", ENGINE, "-c", "1") as other:
        assert job.wait(100).state == "succeeded"
        assert pages_done(other, job, 5) == dict.fromkeys(range(2, 7), 1)


def test_pages_come_as_they_are_read(installation: Installation, gates: Gates) -> None:
    queue = installation.queue
    gates.open(WIDTHS[1:3])
    job = submit(queue, document_of(WIDTHS), gates, crops="archive", words=2)
    as_they_come = job.pages(100, in_order=False)
    assert sorted(next(as_they_come).number for _ in range(2)) == [2, 3]
    gates.open(WIDTHS[:1])
    in_order = job.pages(100)
    found = [next(in_order) for _ in range(3)]
    assert [page.number for page in found] == [1, 2, 3]
    assert all(word.crop and word.crop.image().width for page in found for word in page.words())
    assert job.status().state == "running"

    async def read() -> list[int]:
        async with AsyncOcrQueue(queue.settings) as other:
            ahead = other.job(job.id).pages(100)
            numbers = [(await anext(ahead)).number for _ in range(3)]
            gates.open(WIDTHS)
            return [*numbers, *[page.number async for page in ahead]]

    assert asyncio.run(read()) == [1, 2, 3, 4, 5, 6]
    assert [page.number for page in in_order] == [4, 5, 6]
    assert sorted(page.number for page in as_they_come) == [1, 4, 5, 6]


def test_a_page_is_asked_for_by_its_number_as_soon_as_it_is_read(installation: Installation, gates: Gates) -> None:
    queue = installation.queue
    gates.open(WIDTHS[1:3])
    asked = {"split": True, "gates": str(gates.folder)}
    job = queue.submit(document_of(WIDTHS), engine=ENGINE, options=asked, pages="2-6", crops="none")
    wait_until(lambda: job.pages_read() == (2, 3), 60, "two pages are read")
    assert (job.page(3).number, job.page(3).width) == (3, WIDTHS[2])
    with pytest.raises(JobNotFinished):
        job.page(6)
    with pytest.raises(PageNotFound):
        job.page(1)

    async def read() -> tuple[object, ...]:
        async with AsyncOcrQueue(queue.settings) as other:
            same = other.job(job.id)
            numbers = await same.pages_read(), (await same.page(2)).number
            gates.open(WIDTHS)
            steps = [(step.state, step.pages_done) async for step in same.progress(100)]
            return *numbers, steps[-1]

    assert asyncio.run(read()) == ((2, 3), 2, ("succeeded", 5))
    assert job.pages_read() == (2, 3, 4, 5, 6)
    assert job.page(6).width == WIDTHS[5]
    with pytest.raises(PageNotFound):
        job.page(7)


def test_pages_are_had_by_http_as_soon_as_they_are_read(installation: Installation, gates: Gates) -> None:
    gates.open(WIDTHS[1:3])
    job = submit(installation.queue, document_of(WIDTHS), gates)
    with (
        gateway_of(installation.queue.settings) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
    ):
        at = f"/v1/jobs/{job.id}/pages"
        wait_until(lambda: http.get(at).json()["read"] == [2, 3], 60, "two pages are read")
        assert http.get(f"{at}/2").json()["width"] == WIDTHS[1]
        assert http.get(f"{at}/1").json()["code"] == "job.not_finished"
        assert http.get(f"{at}/99").json()["code"] == "page.not_found"
        gates.open(WIDTHS)
        job.wait(100)
        assert http.get(at).json() == {"read": [1, 2, 3, 4, 5, 6], "pages": 6}


def test_a_document_is_fetched_once_for_all_of_its_pages(installation: Installation, gates: Gates) -> None:
    queue, key = installation.queue, "inputs/kept.tiff"
    data = document_of((*WIDTHS, 66))
    job = submit(queue, queue.storage.put(key, data, "image/tiff"), gates)
    wait_until(lambda: gates.reached(60) and gates.reached(61), 60, "it is split")
    queue.storage.delete([key])
    kept = installation.sources / hashlib.sha256(data).hexdigest()
    assert kept.read_bytes() == data
    gates.open((*WIDTHS, 66))
    assert job.wait(100).state == "succeeded"
    assert not kept.exists()
