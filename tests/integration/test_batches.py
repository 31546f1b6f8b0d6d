"""Jobs that one call of an engine reads together: each has an end of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PIL import Image

from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from tests.support.batches import (
    Installation,
    batches_of,
    ends,
    installed,
    states,
    submit_batch,
    submitted_at_once,
    told_of_batch,
)
from tests.support.gates import BATCHED, Gates, page
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import RedisServer, wait_until


@pytest.fixture(scope="module")
def at_work(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    arguments = ("--engine", "batched", "--engine", "gated", "-c", "1")
    folder = tmp_path_factory.mktemp("batches")
    with installed(redis, folder, *arguments, retry_limit=1, retry_backoff_s=0.1) as made:
        yield made


@pytest.fixture
def installation(at_work: Installation) -> Iterator[Installation]:
    yield at_work
    assert check(registry_of(at_work.queue)) == []


def picture(width: int) -> Image.Image:
    return Image.new("L", (width, 50), 255)


def test_pages_of_several_jobs_go_through_the_engine_together(installation: Installation) -> None:
    options = {"together": 4, "words": 2}
    images = [png(picture(width)) for width in range(100, 104)]
    submitted = submitted_at_once(installation.queue, images, options=options, tag="together")
    for number, job in enumerate(submitted):
        document = job.result(timeout=60)
        assert (document.job_id, document.tag, document.status) == (job.id, "together", "succeeded")
        (read,) = document.pages
        assert (read.number, read.width) == (1, 100 + number), "each has its own page"
        for word in document.words():
            assert word.crop is not None
            assert job.id in word.crop.uri
        status = job.status()
        assert (status.attempts, status.pages, status.words) == (1, 1, 2)
        assert 0 < status.timings.ocr_s <= status.timings.total_s
    found = told_of_batch(installation.worker, submitted[0])
    assert found == {"jobs": 4, "pages": 4, "calls": 1, "given_back": 0}


def test_pages_of_long_and_short_images_fill_the_calls(installation: Installation) -> None:
    pages = [1, 3, 1, 5, 1]
    images = [tiff(*(picture(100 + number) for number in range(count))) for count in pages]
    submitted = submit_batch(installation.queue, images, together=4)
    for count, job in zip(pages, submitted, strict=True):
        found = [(read.number, read.width) for read in job.result(timeout=60).pages]
        assert found == [(1 + number, 100 + number) for number in range(count)]
    found_in_log = told_of_batch(installation.worker, submitted[0])
    assert found_in_log == {"jobs": 5, "pages": 11, "calls": 3, "given_back": 0}


def test_a_worker_takes_so_many_as_its_engine_reads_at_once_and_of_one_kind(
    installation: Installation, gates: Gates
) -> None:
    queue = installation.queue
    plug = queue.submit(page(60), **gates.fields)
    wait_until(lambda: gates.reached(60), 60, "the worker has a page, and takes nothing more")
    images = [png(picture(100))] * 8
    ours = [queue.submit(image, engine=BATCHED, options={"words": 2}) for image in images]
    theirs = queue.submit_many(images[:2], engine=BATCHED, options={"words": 3})
    gates.open([60])
    assert states(ends(queue, [plug, *ours, *theirs])) == ["succeeded"] * 11
    assert told_of_batch(installation.worker, ours[0])["jobs"] == 6
    # what is left is of two kinds
    assert told_of_batch(installation.worker, ours[7])["jobs"] == 2
    assert told_of_batch(installation.worker, theirs[0])["jobs"] == 2
    assert len({batch for job in [*ours, *theirs] for batch in batches_of(installation.worker, job)}) == 3


def test_a_job_whose_image_is_bad_fails_alone(installation: Installation) -> None:
    good = png(text_picture("Hello"))
    images = [good, good[: len(good) // 2], good, b"no image", good]
    submitted = submit_batch(installation.queue, images, together=8)
    found = ends(installation.queue, submitted)
    assert states(found) == ["succeeded", "image.truncated", "succeeded", "image.not_recognised", "succeeded"]
    assert {status.attempts for status in found} == {1}
    assert told_of_batch(installation.worker, submitted[0])["pages"] == 3


def test_a_source_that_is_not_there_is_no_matter_of_its_neighbours(installation: Installation) -> None:
    jobs = installation.queue.submit_many(
        [png(picture(9)), "file:///nowhere/at/all.png", png(picture(9))], engine=BATCHED, crops="none"
    )
    assert states(ends(installation.queue, jobs)) == ["succeeded", "source.path_not_allowed", "succeeded"]
    assert {job.status().attempts for job in jobs} == {1}


def test_wrong_options_fail_each_job_with_their_error(installation: Installation) -> None:
    submitted = submit_batch(installation.queue, [png(picture(9))] * 2, x=1)
    assert states(ends(installation.queue, submitted)) == ["option.unknown"] * 2


@pytest.mark.parametrize(
    ("fault", "code"), [("error", None), ("bug", "engine.failed"), ("memory", "engine.out_of_memory")]
)
def test_what_the_engine_says_in_a_batch_is_asked_again_of_each_job_alone(
    installation: Installation, fault: str, code: str | None
) -> None:
    """The second image alone has a second page, and with it the fault."""
    images = [png(picture(90)), tiff(picture(91), picture(92)), png(picture(93))]
    submitted = submit_batch(installation.queue, images, together=8, fault=fault, fault_page=2)
    first, bad, last = ends(installation.queue, submitted)
    assert {first.state, last.state} == {"succeeded"}
    innocent = 1 if fault == "error" else 2
    assert (first.attempts, bad.attempts, last.attempts) == (innocent, 2, innocent)
    assert bad.state == ("failed" if code else "partial")
    assert bad.error is not None
    assert bad.error.code == (code or "engine.failed")
    found = told_of_batch(installation.worker, submitted[0])
    assert found["given_back"] == (1 if fault == "error" else 3)
    for job, status in zip(submitted, (first, bad, last), strict=True):
        alone = batches_of(installation.worker, job)[1:]
        assert alone == [None] * (status.attempts - 1)


def test_a_job_that_is_worth_another_try_waits_for_it_and_its_neighbours_do_not(installation: Installation) -> None:
    images = [png(picture(90)), tiff(picture(91), picture(92)), png(picture(93))]
    submitted = submit_batch(installation.queue, images, together=1, fault="retryable", fault_page=2)
    first, bad, last = ends(installation.queue, submitted)
    assert (first.state, first.attempts, last.state, last.attempts) == ("succeeded", 1, "succeeded", 1)
    assert (bad.state, bad.error and bad.error.code, bad.attempts) == ("failed", "source.unavailable", 2)


def test_jobs_with_a_route_are_read_alone(installation: Installation) -> None:
    queue = installation.queue
    fields = {"fallback": ["gated"], "options": {BATCHED: {"confidence": 0.99}}, "crops": "none"}
    jobs = queue.submit_many([png(picture(90))] * 3, engine=BATCHED, **fields)
    assert states(ends(queue, jobs)) == ["succeeded"] * 3
    assert [batches_of(installation.worker, job) for job in jobs] == [[None]] * 3
