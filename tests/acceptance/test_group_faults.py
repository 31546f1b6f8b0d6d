"""Groups whose worker, child or time comes to an end: each job ends as if it had come by itself."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ocrqueue import JobStatus, OcrQueue, SubmittedJob
from ocrqueue.settings import Settings, load_settings
from tests.support.brokers import Messages
from tests.support.gates import PLUGINS, Gates, page, with_gated
from tests.support.pictures import tiff
from tests.support.processes import RedisServer, Worker, as_environment, wait_until, worker

ENGINES = ("--engine", "null", "--engine", "gated", "-c", "1")
WIDTHS = tuple(range(60, 66))
"""Of pages that wait at a gate each."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_gated(settings)


@pytest.fixture
def queue(settings: Settings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue


@dataclass(frozen=True)
class Installation:
    queue: OcrQueue
    worker: Worker


@pytest.fixture(scope="module")
def installation(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One worker for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("groups")
    (folder / "storage").mkdir()
    settings = load_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{folder}/storage",
        worker_heartbeat_s=1,
        # a job that lowers the soft limit has the hard one a second later
        soft_time_limit_s=20,
        hard_time_limit_s=21,
        # what the reconciler would have to find is not found within the tests' patience
        lost_after_s=120,
        unqueued_after_s=120,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        with worker(as_environment(settings), folder, *ENGINES) as started, OcrQueue(settings) as queue:
            yield Installation(queue, started)


def two_pages() -> bytes:
    """The null engine's faults can be told to wait for a second page."""
    return tiff(Image.new("L", (60, 40), 255), Image.new("L", (61, 40), 255))


def in_group(
    queue: OcrQueue, images: list[bytes], time_limit_s: int | None = None, **options: Any
) -> list[SubmittedJob]:
    fields = {"engine": "null", "options": options, "crops": "none", "time_limit_s": time_limit_s}
    return queue.submit_many(images, group=len(images), **fields)


def gated_group(queue: OcrQueue, gates: Gates, number: int) -> list[SubmittedJob]:
    """Images of WIDTHS, two in a call."""
    fields = {**gates.fields, "options": {**gates.fields["options"], "together": 2}}
    return queue.submit_many([page(width) for width in WIDTHS[:number]], group=number, crops="none", **fields)


def ends(queue: OcrQueue, jobs: list[SubmittedJob], seconds: float = 100) -> list[JobStatus]:
    found = {job.id: status for job, status in queue.watch(jobs, seconds)}
    return [found[job.id] for job in jobs]


def states(found: list[JobStatus]) -> list[str]:
    return [status.error.code if status.error else status.state for status in found]


def running(jobs: list[SubmittedJob]) -> list[int]:
    """The positions of those that run."""
    return [position for position, job in enumerate(jobs) if job.status().state == "running"]


def nothing_is_left(queue: OcrQueue) -> bool:
    registry = queue.registry
    indexes = [registry.keys.queued(), registry.keys.running(), registry.keys.delayed()]
    unacknowledged = registry.client.hlen(registry.keys.queue("unacked"))
    waiting = [Messages(queue, name).count() for name in ("ocr.null", "ocr.gated")]
    return not any([*waiting, unacknowledged, *map(registry.client.zcard, indexes)])


def end_of_group(started: Worker, jobs: list[SubmittedJob]) -> dict[str, Any]:
    """What the log says at the end of the newest group in which one of the jobs was begun."""
    lines = [json.loads(line) for line in started.log_text().splitlines() if line.startswith("{")]
    ids = {job.id for job in jobs}
    groups = {line.get("group_id") for line in lines if line["event"] == "job started" and line["job_id"] in ids}
    return [line for line in lines if line["event"] == "group ended" and line["group_id"] in groups][-1]


def test_a_child_killed_over_a_group_costs_those_that_it_was_at_one_attempt(
    installation: Installation, gates: Gates
) -> None:
    queue, started = installation.queue, installation.worker
    gates.open(WIDTHS[:2])
    jobs = gated_group(queue, gates, 6)
    wait_until(lambda: running(jobs) == [2, 3], 60, "the second two run")
    (child,) = started.running_children()
    os.kill(child, signal.SIGKILL)
    gates.open(WIDTHS)
    found = ends(queue, jobs)
    assert {status.state for status in found} == {"succeeded"}
    assert [status.attempts for status in found] == [1, 1, 2, 2, 1, 1]
    wait_until(lambda: nothing_is_left(queue), 60, "nothing is left")
    again = end_of_group(started, jobs)
    assert (again["pages"], again["calls"]) == (2, 1), "the last two were together all the same"


def test_a_poison_image_takes_its_neighbours_along_once(installation: Installation) -> None:
    queue = installation.queue
    jobs = in_group(queue, [page(60), page(60), two_pages(), page(60)], together=8, fault="kill", fault_page=2)
    found = ends(queue, jobs)
    assert states(found) == ["succeeded", "succeeded", "job.poison", "succeeded"]
    assert [status.attempts for status in found] == [2, 2, 3, 2]
    assert queue.dead_letters.ids() == [jobs[2].id]
    assert installation.worker.alive()
    wait_until(lambda: nothing_is_left(queue), 60, "nothing is left")


def test_cancelling_one_leaves_its_neighbours_their_child_and_cancelling_all_frees_it(
    installation: Installation, gates: Gates
) -> None:
    queue, started = installation.queue, installation.worker
    jobs = gated_group(queue, gates, 4)
    wait_until(lambda: running(jobs) == [0, 1], 60, "the first two run")
    (child,) = started.running_children()
    assert jobs[1].cancel() == "running"
    assert jobs[3].cancel() == "cancelled", "it was not begun"
    # twice the time that a job by itself would be left to stop in
    time.sleep(2)
    gates.open(WIDTHS)
    assert states(ends(queue, jobs)) == ["succeeded", "cancelled", "succeeded", "cancelled"]
    assert [job.status().attempts for job in jobs] == [1, 1, 1, 0]
    assert started.running_children() == [child]
    hung = in_group(queue, [page(60)] * 2, together=2, fault="hang")
    wait_until(lambda: running(hung) == [0, 1], 60, "both run")
    for job in hung:
        job.cancel()
    # or else at the hard limit, as engine.timeout
    wait_until(lambda: child not in started.running_children(), 60, "the child is gone")
    assert states(ends(queue, hung)) == ["cancelled", "cancelled"]
    wait_until(lambda: nothing_is_left(queue), 60, "nothing is left")


@pytest.mark.parametrize("fault", ["stall", "hang"])
def test_what_runs_into_a_time_limit_does_so_alone(installation: Installation, fault: str) -> None:
    """The soft limit, and the hard one."""
    queue, images = installation.queue, [page(60), two_pages(), page(60), page(60)]
    jobs = in_group(queue, images, time_limit_s=2, together=3, fault=fault, fault_page=2)
    found = ends(queue, jobs)
    assert states(found) == ["succeeded", "engine.timeout", "succeeded", "succeeded"]
    assert [status.attempts for status in found] == [2, 2, 1, 1], "the last had not begun"
    wait_until(lambda: nothing_is_left(queue), 60, "nothing is left")


def test_a_group_too_large_for_its_time_is_read_one_by_one(installation: Installation, gates: Gates) -> None:
    queue = installation.queue
    jobs = queue.submit_many(map(page, WIDTHS[:5]), group=5, crops="none", time_limit_s=10, **gates.fields)
    wait_until(lambda: gates.reached(WIDTHS[0]), 60, "the first runs")
    time.sleep(5.2)  # half of its time
    gates.open(WIDTHS)
    found = ends(queue, jobs)
    assert [(status.state, status.attempts) for status in found] == [("succeeded", 1)] * 5
    starts = [status.started_at for status in found]
    assert starts == sorted(starts, key=str), "in their order"
    line = end_of_group(installation.worker, jobs)
    assert line["given_back"] == 5 - line["pages"] > 0


def test_a_worker_killed_whole_loses_its_group_to_another(
    settings: Settings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    quick = {"worker_heartbeat_s": 0.3, "lost_after_s": 3, "reconcile_interval_s": 0.3, "unqueued_after_s": 3}
    environment = as_environment(settings) | quick
    gates.open(WIDTHS[:2])
    jobs = gated_group(queue, gates, 6)
    with worker(environment, tmp_path, *ENGINES) as killed:
        wait_until(lambda: running(jobs) == [2, 3], 60, "the second two run")
        os.killpg(killed.pid, signal.SIGKILL)
    gates.open(WIDTHS)
    with worker(environment, tmp_path, *ENGINES):
        found = ends(queue, jobs)
        assert {status.state for status in found} == {"succeeded"}
        assert [status.attempts for status in found] == [1, 1, 2, 2, 1, 1]
        # the message of the group comes back after the visibility timeout, and finds its jobs ended
        unacked = queue.registry.keys.queue("unacked")
        wait_until(lambda: queue.registry.client.hlen(unacked) == 1, 60, "only the lost message is out")
        (entry,) = queue.registry.client.hvals(unacked)
        queue.registry.client.lpush(queue.registry.keys.queue("ocr.gated"), json.dumps(json.loads(entry)[0]))
        last = queue.submit(page(60), **gates.fields)
        assert last.wait(60).state == "succeeded"
        assert [job.status().attempts for job in jobs] == [1, 1, 2, 2, 1, 1]


@pytest.mark.usefixtures("gates")
def test_a_group_delivered_twice_is_read_once(settings: Settings, queue: OcrQueue, tmp_path: Path) -> None:
    jobs = in_group(queue, [page(60)] * 4, together=2, delay_s=0.3)
    Messages(queue, "ocr.null").repeat()
    with worker(as_environment(settings), tmp_path, *ENGINES), worker(as_environment(settings), tmp_path, *ENGINES):
        found = ends(queue, jobs)
        assert [(status.state, status.attempts) for status in found] == [("succeeded", 1)] * 4
        wait_until(lambda: nothing_is_left(queue), 60, "nothing is left")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_stops_ends_what_runs_and_puts_the_rest_of_the_group_back(
    settings: Settings, queue: OcrQueue, tmp_path: Path, pool: str, monkeypatch: pytest.MonkeyPatch, gates: Gates
) -> None:
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    patient = as_environment(settings) | {"lost_after_s": 100, "unqueued_after_s": 100, "shutdown_grace_s": 100}
    plain = ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "1", "-Q", "ocr.gated")
    gates.open(WIDTHS[:2])
    jobs = gated_group(queue, gates, 6)
    with worker(patient, tmp_path, command=plain) as started:
        wait_until(lambda: running(jobs) == [2, 3], 60, "the second two run")
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
def test_a_group_that_outlasts_the_grace_goes_back_without_a_mark(
    settings: Settings, queue: OcrQueue, tmp_path: Path, pool: str, monkeypatch: pytest.MonkeyPatch, gates: Gates
) -> None:
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    hasty = as_environment(settings) | {"shutdown_grace_s": 1, "lost_after_s": 100, "unqueued_after_s": 100}
    plain = ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "1", "-Q", "ocr.gated")
    jobs = gated_group(queue, gates, 4)
    with worker(hasty, tmp_path, command=plain) as started:
        wait_until(lambda: running(jobs) == [0, 1], 60, "the first two run")
        started.process.send_signal(signal.SIGTERM)
        started.process.wait(60)
    stopped = [job.status() for job in jobs]
    assert {status.state for status in stopped} == {"queued"}
    assert {status.error.code for status in stopped[:2] if status.error} == {"worker.stopping"}
    key = queue.registry.keys.record(jobs[0].id)
    assert not queue.registry.client.hexists(key, "deliveries"), "it does not count"
    gates.open(WIDTHS)
    with worker(hasty | {"shutdown_grace_s": 10}, tmp_path, command=plain):
        found = ends(queue, jobs, 60)
        assert {status.state for status in found} == {"succeeded"}
        assert [status.attempts for status in found] == [2, 2, 1, 1]
