"""However a job ends without a result, nothing that its attempts have stored is left in storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import as_environment, wait_until, worker

PICTURE = text_picture("Hello 42")
DOCUMENT = tiff(PICTURE, PICTURE, PICTURE)


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    more = {"engines_on_demand": ("keras",), "retry_backoff_s": 300.0, "retry_backoff_max_s": 300.0}
    return settings.model_copy(update=more)


@pytest.fixture
def queue(settings: WorkerSettings, tmp_path: Path) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        with worker(as_environment(settings), tmp_path, "--engine", "null", "-c", "1"):
            yield queue
        assert check(registry_of(queue)) == []


def stored(queue: OcrQueue, job: SubmittedJob) -> list[str]:
    return list(queue.storage.list(f"results/{job.id}/"))


def test_poison(queue: OcrQueue) -> None:
    job = queue.submit(DOCUMENT, engine="null", options={"fault": "kill", "fault_page": 3, "words": 5})
    status = job.wait(100)
    assert status.error is not None
    assert status.error.code == "job.poison"
    wait_until(lambda: not stored(queue, job), 60, "nothing is left")


def test_a_job_that_is_cancelled_in_its_pause(queue: OcrQueue) -> None:
    job = queue.submit(
        DOCUMENT, engine="null", crops="objects", options={"fault": "retryable", "fault_page": 3, "words": 5}
    )
    wait_until(lambda: job.status().error is not None, 60, "it pauses")
    assert stored(queue, job), "the pages before"
    assert job.cancel() == "cancelled"
    wait_until(lambda: not stored(queue, job), 60, "nothing is left")


def test_a_job_that_is_cancelled_while_it_waits_for_its_next_engine(queue: OcrQueue) -> None:
    options = {"null": {"confidence": 0.1, "words": 3}}
    job = queue.submit(png(PICTURE), engine="null", fallback=["keras"], options=options)
    wait_until(lambda: job.status().engine == "keras", 60, "it has gone on")
    assert stored(queue, job), "what stands"
    assert job.cancel() == "cancelled"
    wait_until(lambda: not stored(queue, job), 60, "nothing is left")
