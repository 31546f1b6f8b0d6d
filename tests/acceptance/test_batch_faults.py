"""Batches whose worker, child or time comes to an end: each job ends as if it had come by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.batches import (
    Installation,
    batches_of,
    ends,
    installed,
    running,
    states,
    submit_batch,
    submitted_at_once,
    told_of_batch,
)
from tests.support.gates import Gates, page, with_gated
from tests.support.pictures import tiff
from tests.support.processes import RedisServer, as_environment, wait_until, worker

ENGINES = ("--engine", "batched", "-c", "1")
WIDTHS = tuple(range(60, 66))
"""Of pages that wait at a gate each."""


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
    settings = {
        # a job that lowers the soft limit has the hard one a second later
        "soft_time_limit_s": 20,
        "hard_time_limit_s": 21,
        # what only the end of a lease would bring back is not back within the tests' patience
        "lost_after_s": 120,
    }
    with installed(redis, tmp_path_factory.mktemp("batches"), *ENGINES, **settings) as made:
        yield made


@pytest.fixture
def installation(at_work: Installation) -> Iterator[Installation]:
    yield at_work
    assert check(registry_of(at_work.queue)) == []
    assert at_work.worker.alive()


def two_pages() -> bytes:
    """The null engine's faults can be told to wait for a second page."""
    return tiff(Image.new("L", (60, 40), 255), Image.new("L", (61, 40), 255))


def gated_batch(queue: OcrQueue, gates: Gates, number: int) -> list[SubmittedJob]:
    """Images of WIDTHS, two in a call."""
    pages = [page(width) for width in WIDTHS[:number]]
    return submitted_at_once(queue, pages, crops="none", **gates.batched(2))


def test_a_child_killed_over_a_batch_costs_nobody_more_than_one_attempt(
    installation: Installation, gates: Gates
) -> None:
    queue, started = installation.queue, installation.worker
    gates.open(WIDTHS[:2])
    jobs = gated_batch(queue, gates, 6)
    wait_until(lambda: running(jobs) == [2, 3], 60, "the second two run")
    (child,) = started.running_children()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not running(jobs) or running(jobs) == [2], 60, "they are back, and the first of them has begun")
    record = registry_of(queue).keys.record(jobs[3].id)
    assert not registry_of(queue).client.hexists(record, "deliveries"), "it does not count"
    gates.open(WIDTHS)
    found = ends(queue, jobs)
    assert {status.state for status in found} == {"succeeded"}
    assert [status.attempts for status in found] == [1, 1, 2, 2, 1, 1]
    assert [batches_of(started, job)[-1] for job in jobs[2:]] == [None] * 4, "each is read alone"


def test_children_that_are_idle_share_what_waits(installation: Installation, gates: Gates, tmp_path: Path) -> None:
    """An engine that likes six pages at once is not given all six while another child has none."""
    queue = installation.queue
    settings = queue.settings.model_copy(update={"key_prefix": "shared:"})
    two = ("--engine", "batched", "-c", "2")
    with worker(as_environment(settings), tmp_path, *two), OcrQueue(settings) as other:
        keys, client = registry_of(other).keys, registry_of(other).client
        wait_until(lambda: client.hget(keys.children(), "ocr.batched") == b"2", 60, "both are counted")
        jobs = submitted_at_once(other, [page(width) for width in WIDTHS], crops="none", **gates.batched(6))
        wait_until(lambda: running(jobs) == [0, 1, 2, 3, 4], 60, "one has three, and the other two of the rest")
        gates.open(WIDTHS)
        assert states(ends(other, jobs)) == ["succeeded"] * 6
        assert check(registry_of(other)) == []


def test_a_poison_image_takes_its_neighbours_along_once(installation: Installation) -> None:
    queue = installation.queue
    images = [page(60), page(60), two_pages(), page(60)]
    jobs = submit_batch(queue, images, together=8, fault="kill", fault_page=2)
    found = ends(queue, jobs, 200)
    assert states(found) == ["succeeded", "succeeded", "job.poison", "succeeded"]
    # what it did in the batch does not count for it either
    assert [status.attempts for status in found] == [2, 2, 4, 2]
    assert queue.dead_letters.ids() == [jobs[2].id]


def test_cancelling_one_of_a_batch_frees_its_child_and_gives_its_neighbours_back(
    installation: Installation, gates: Gates
) -> None:
    queue, started = installation.queue, installation.worker
    jobs = gated_batch(queue, gates, 4)
    wait_until(lambda: running(jobs) == [0, 1], 60, "the first two run")
    wait_until(lambda: gates.reached(60), 60, "they are at their pages")
    (child,) = started.running_children()
    assert jobs[3].cancel() == "cancelled", "it was not begun"
    assert jobs[1].cancel() == "running"
    wait_until(lambda: child not in started.running_children(), 60, "the child is gone")
    gates.open(WIDTHS)
    assert states(ends(queue, jobs)) == ["succeeded", "cancelled", "succeeded", "cancelled"]
    assert [job.status().attempts for job in jobs] == [2, 1, 1, 0]
    wait_until(lambda: not list(queue.storage.list(f"results/{jobs[1].id}/")), 60, "nothing of it is left")
    hung = submit_batch(queue, [page(60)] * 2, together=2, fault="hang")
    wait_until(lambda: running(hung) == [0, 1], 60, "both run")
    for job in hung:
        job.cancel()
    # or else at the hard limit, as engine.timeout
    assert states(ends(queue, hung)) == ["cancelled", "cancelled"]


@pytest.mark.parametrize("fault", ["stall", "hang"])
def test_what_runs_into_a_time_limit_does_so_alone(installation: Installation, fault: str) -> None:
    """The soft limit, and the hard one."""
    queue, images = installation.queue, [page(60), two_pages(), page(60), page(60)]
    jobs = submit_batch(queue, images, time_limit_s=5, together=3, fault=fault, fault_page=2)
    found = ends(queue, jobs)
    assert states(found) == ["succeeded", "engine.timeout", "succeeded", "succeeded"]
    assert [status.attempts for status in found] == [2, 2, 1, 1], "the last had not begun"


def test_a_batch_too_large_for_its_time_goes_on_in_another(installation: Installation, gates: Gates) -> None:
    queue = installation.queue
    pages = [page(width) for width in WIDTHS[:5]]
    jobs = submitted_at_once(queue, pages, crops="none", time_limit_s=20, **gates.batched(1))
    wait_until(lambda: gates.reached(WIDTHS[0]), 60, "the first runs")
    time.sleep(10.2)  # half of its time: a machine that is busy after that has the other half
    gates.open(WIDTHS)
    found = ends(queue, jobs)
    assert [(status.state, status.attempts) for status in found] == [("succeeded", 1)] * 5
    starts = [status.started_at for status in found]
    assert starts == sorted(starts, key=str), "in their order"
    told = told_of_batch(installation.worker, jobs[0])
    assert told["given_back"] == 5 - told["pages"] > 0


def test_a_worker_killed_whole_loses_its_batch_to_another(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    quick = as_environment(settings) | {"worker_heartbeat_s": 0.3, "lost_after_s": 3}
    gates.open(WIDTHS[:2])
    jobs = gated_batch(queue, gates, 6)
    with worker(quick, tmp_path, *ENGINES) as killed:
        wait_until(lambda: running(jobs) == [2, 3], 60, "the second two run")
        os.killpg(killed.pid, signal.SIGKILL)
    gates.open(WIDTHS)
    with worker(quick, tmp_path, *ENGINES):
        found = ends(queue, jobs)
        assert {status.state for status in found} == {"succeeded"}
        assert [status.attempts for status in found] == [1, 1, 2, 2, 1, 1]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_stops_ends_what_runs_and_puts_the_rest_of_its_batch_back(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, pool: str, gates: Gates
) -> None:
    patient = as_environment(settings) | {"lost_after_s": 100, "shutdown_grace_s": 100}
    plain = ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "1", "-Q", "ocr.batched")
    gates.open(WIDTHS[:2])
    jobs = gated_batch(queue, gates, 6)
    with worker(patient, tmp_path, command=plain) as started:
        wait_until(lambda: running(jobs) == [2, 3], 60, "the second two run")
        wait_until(lambda: gates.reached(WIDTHS[2]), 60, "they are at their pages")
        started.process.send_signal(signal.SIGTERM)
        wait_until(gates.worker_stops, 60, "it has heard it")
        gates.open(WIDTHS)
        opened_at = time.monotonic()
        started.process.wait(90)
        assert time.monotonic() - opened_at < 50, "it does not sit out its grace"
    assert [job.status().state for job in jobs] == ["succeeded"] * 4 + ["queued"] * 2
    with worker(patient, tmp_path, command=plain):
        found = ends(queue, jobs, 60)
        assert [(status.state, status.attempts) for status in found] == [("succeeded", 1)] * 6


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_batch_that_outlasts_the_grace_goes_back_without_a_mark(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, pool: str, gates: Gates
) -> None:
    hasty = as_environment(settings) | {"shutdown_grace_s": 1, "lost_after_s": 100}
    plain = ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "1", "-Q", "ocr.batched")
    jobs = gated_batch(queue, gates, 4)
    with worker(hasty, tmp_path, command=plain) as started:
        wait_until(lambda: running(jobs) == [0, 1], 60, "the first two run")
        wait_until(lambda: gates.reached(WIDTHS[0]), 60, "they are at their pages")
        started.process.send_signal(signal.SIGTERM)
        started.process.wait(60)
    stopped = [job.status() for job in jobs]
    assert {status.state for status in stopped} == {"queued"}
    assert {status.error.code for status in stopped[:2] if status.error} == {"worker.stopping"}
    key = registry_of(queue).keys.record(jobs[0].id)
    assert not registry_of(queue).client.hexists(key, "deliveries"), "it does not count"
    gates.open(WIDTHS)
    with worker(hasty | {"shutdown_grace_s": 10}, tmp_path, command=plain):
        found = ends(queue, jobs, 60)
        assert {status.state for status in found} == {"succeeded"}
        assert [status.attempts for status in found] == [2, 2, 1, 1]
