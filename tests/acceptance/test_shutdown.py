"""SIGTERM, for every pool: what runs may finish within the grace, the rest is back in the queue at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import Settings
from tests.pictures import png, text_picture
from tests.processes import as_environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))
POOLS = ("prefork", "threads", "solo")


@pytest.fixture
def queue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[OcrQueue]:
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    with OcrQueue(settings) as queue:
        yield queue


def plain_celery(pool: str) -> tuple[str, ...]:
    return ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "1", "-Q", "ocr.null")


@pytest.mark.parametrize("pool", POOLS)
def test_a_job_that_outlasts_the_grace_is_put_back_at_once(
    settings: Settings, queue: OcrQueue, tmp_path: Path, pool: str
) -> None:
    hasty = as_environment(settings) | {"shutdown_grace_s": 1, "lost_after_s": 60, "unqueued_after_s": 60}
    job = queue.submit(HELLO, engine="null", options={"delay_s": 6})
    with worker(hasty, tmp_path, command=plain_celery(pool)) as running:
        wait_until(lambda: job.status().pages == 1, 15, "the job is at its page")
        running.process.send_signal(signal.SIGTERM)
        stopped_at = time.monotonic()
        running.process.wait(15)
        assert time.monotonic() - stopped_at < 5
    status = job.status()
    assert (status.state, status.error and status.error.code) == ("queued", "worker.stopping")
    assert not queue.engines()["null"]
    with worker(hasty, tmp_path, command=plain_celery(pool)):
        wait_until(lambda: job.status().state == "running", 15, "the next worker has it")
        assert job.wait(20).state == "succeeded"
        assert job.status().attempts == 2


@pytest.mark.parametrize("pool", POOLS)
def test_a_job_that_ends_within_the_grace_does(settings: Settings, queue: OcrQueue, tmp_path: Path, pool: str) -> None:
    job = queue.submit(HELLO, engine="null", options={"delay_s": 3})
    with worker(as_environment(settings), tmp_path, command=plain_celery(pool)) as running:
        wait_until(lambda: job.status().pages == 1, 15, "the job is at its page")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) in {0, 1}
        status = job.status()
        assert (status.state, status.attempts) == ("succeeded", 1), running.log_text()[-3000:]


def test_a_solo_worker_gives_signs_of_life_while_it_reads(settings: Settings, queue: OcrQueue, tmp_path: Path) -> None:
    quick = as_environment(settings) | {"worker_heartbeat_s": 0.3, "lost_after_s": 1, "reconcile_interval_s": 0.3}
    job = queue.submit(HELLO, engine="null", options={"delay_s": 4})
    with worker(quick, tmp_path, command=plain_celery("solo")), worker(quick, tmp_path, "--engine", "null", "-c", "1"):
        status = job.wait(20)
        assert (status.state, status.attempts) == ("succeeded", 1)
