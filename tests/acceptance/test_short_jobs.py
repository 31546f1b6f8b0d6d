"""Jobs that take moments, of which a child gets several at once: each ends as if it had come by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from tests.benchmarks.scale.used import process_cpu
from tests.support.batches import Installation, batches_of, ends, installed, running, told_of_batch
from tests.support.gates import ENGINE, Gates, page
from tests.support.pictures import tiff
from tests.support.processes import RedisServer, wait_until

WIDTHS = tuple(range(60, 68))
"""Of pages that wait at a gate each."""
QUICK = 50


def submit(queue: OcrQueue, images: list[bytes], **fields: Any) -> list[SubmittedJob]:
    """Nothing is taken before all are in their lane."""
    queue.pause(engine=ENGINE)
    try:
        return queue.submit_many(images, crops="none", **fields)
    finally:
        queue.resume(engine=ENGINE)


def read_quickly(queue: OcrQueue, **fields: Any) -> None:
    """Until their kind is known as short."""
    found = ends(queue, submit(queue, [page(QUICK)] * 30, **fields))
    assert {(status.state, status.attempts) for status in found} == {("succeeded", 1)}


@pytest.fixture(scope="module")
def at_work(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # however slow the machine
    environment = {"SHORT_JOBS_S": "100"}
    arguments = ("--engine", ENGINE, "-c", "1")
    folder = tmp_path_factory.mktemp("short")
    with installed(redis, folder, *arguments, environment=environment, lost_after_s=120) as made:
        yield made


@pytest.fixture
def installation(at_work: Installation) -> Iterator[Installation]:
    yield at_work
    assert check(registry_of(at_work.queue)) == []
    assert at_work.worker.alive()


def at_the_first(installation: Installation, gates: Gates) -> list[SubmittedJob]:
    """Eight that a child has, and is at the page of the first."""
    gates.open([QUICK])
    read_quickly(installation.queue, **gates.fields)
    jobs = submit(installation.queue, [page(width) for width in WIDTHS], **gates.fields)
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
    read_quickly(installation.queue, **fields)
    two_pages = tiff(Image.new("L", (60, 40), 255), Image.new("L", (61, 40), 255))
    jobs = submit(installation.queue, [page(QUICK), two_pages, page(QUICK)], **fields)
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
        read_quickly(installation.queue, engine=ENGINE, tenant="theirs")
    (child,) = installation.worker.running_children()
    by_system = process_cpu(child)
    used = sum(each.cpu_s for each in installation.queue.usage("theirs", last=2))
    assert 0 < used <= by_system + 0.1
