"""Jobs that take moments, of which a child gets several at once: each ends as if it had come by itself."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import load_worker_settings
from tests.benchmarks.scale.used import process_cpu
from tests.support.batches import batches_of, ends, running, told_of_batch
from tests.support.gates import ENGINE, PLUGINS, Gates, page, with_gated
from tests.support.pictures import tiff
from tests.support.processes import RedisServer, Worker, as_environment, wait_until, worker

WIDTHS = tuple(range(60, 68))
"""Of pages that wait at a gate each."""
QUICK = 50


@dataclass(frozen=True)
class Installation:
    queue: OcrQueue
    worker: Worker

    def submit(self, images: list[bytes], **fields: Any) -> list[SubmittedJob]:
        """Nothing is taken before all are in their lane."""
        self.queue.pause(engine=ENGINE)
        try:
            return self.queue.submit_many(images, crops="none", **fields)
        finally:
            self.queue.resume(engine=ENGINE)

    def read_quickly(self, **fields: Any) -> None:
        """Until their kind is known as short."""
        found = ends(self.queue, self.submit([page(QUICK)] * 30, **fields))
        assert {(status.state, status.attempts) for status in found} == {("succeeded", 1)}


@pytest.fixture(scope="module")
def at_work(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("short")
    (folder / "storage").mkdir()
    settings = with_gated(
        load_worker_settings(
            redis_url=redis.url,
            key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
            storage=f"file://{folder}/storage",
            worker_heartbeat_s=1,
            lost_after_s=120,
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        # however slow the machine
        patch.setenv("SHORT_JOBS_S", "100")
        arguments = ("--engine", ENGINE, "-c", "1")
        with worker(as_environment(settings), folder, *arguments) as started, OcrQueue(settings) as queue:
            yield Installation(queue, started)


@pytest.fixture
def installation(at_work: Installation) -> Iterator[Installation]:
    yield at_work
    assert check(registry_of(at_work.queue)) == []
    assert at_work.worker.alive()


def at_the_first(installation: Installation, gates: Gates) -> list[SubmittedJob]:
    """Eight that a child has, and is at the page of the first."""
    gates.open([QUICK])
    installation.read_quickly(**gates.fields)
    jobs = installation.submit([page(width) for width in WIDTHS], **gates.fields)
    wait_until(lambda: gates.reached(WIDTHS[0]), 60, "the first is read")
    assert running(jobs) == list(range(8)), "all have begun"
    return jobs


def test_a_child_gets_several_and_reads_each_in_a_call_of_its_own(installation: Installation, gates: Gates) -> None:
    gates.open(WIDTHS[1:])
    jobs = at_the_first(installation, gates)
    gates.open(WIDTHS)
    told = told_of_batch(installation.worker, jobs[0])
    found = ends(installation.queue, jobs)
    assert [(status.state, status.pages) for status in found] == [("succeeded", 1)] * 8
    assert told["jobs"] == 8
    assert told["calls"] == told["pages"] == 8 - told["given_back"]
    assert {status.attempts for status in found} == {1}
    assert len({batches_of(installation.worker, job)[0] for job in jobs}) == 1


def test_where_one_takes_long_the_others_go_back(installation: Installation, gates: Gates) -> None:
    jobs = at_the_first(installation, gates)
    wait_until(lambda: running(jobs) == [0], 60, "the others are back while it is read")
    gates.open(WIDTHS)
    found = ends(installation.queue, jobs)
    assert {status.state for status in found} == {"succeeded"}
    assert [status.attempts for status in found] == [1] * 8, "of those nothing was done"
    told = told_of_batch(installation.worker, jobs[0])
    assert (told["pages"], told["given_back"]) == (1, 7)


def test_an_error_of_the_engine_ends_the_job_that_has_it(installation: Installation) -> None:
    fields: dict[str, Any] = {"engine": ENGINE, "options": {"fault": "error", "fault_page": 2}}
    installation.read_quickly(**fields)
    two_pages = tiff(Image.new("L", (60, 40), 255), Image.new("L", (61, 40), 255))
    jobs = installation.submit([page(QUICK), two_pages, page(QUICK)], **fields)
    found = ends(installation.queue, jobs)
    assert [status.state for status in found] == ["succeeded", "partial", "succeeded"]
    assert len({batches_of(installation.worker, job)[0] for job in jobs}) == 1
    assert found[1].attempts == 1, "no other page was in its call"


def test_a_child_that_is_killed_costs_each_an_attempt_and_a_place_among_others(
    installation: Installation, gates: Gates
) -> None:
    jobs = at_the_first(installation, gates)
    (child,) = installation.worker.running_children()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(running(jobs)) < 8, 60, "they are back")
    gates.open(WIDTHS)
    found = ends(installation.queue, jobs)
    assert {(status.state, status.attempts) for status in found} == {("succeeded", 2)}
    assert [batches_of(installation.worker, job)[-1] for job in jobs] == [None] * 8


def test_a_tenant_pays_for_no_more_time_than_its_jobs_took(installation: Installation) -> None:
    for _ in range(3):
        installation.read_quickly(engine=ENGINE, tenant="theirs")
    (child,) = installation.worker.running_children()
    by_system = process_cpu(child)
    used = sum(each.cpu_s for each in installation.queue.usage("theirs", last=2))
    assert 0 < used <= by_system + 0.1
