"""Signals that end a worker, for every pool: what runs may finish within the grace, the rest is back at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.gates import Gates, page, with_gated
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))
POOLS = ("prefork", "threads", "solo")
_NOT_THE_SAME_S = 2
"""Later, a signal is another one."""


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return with_gated(settings)


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue
        assert check(registry_of(queue)) == []


def plain_celery(pool: str) -> tuple[str, ...]:
    return ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "1", "-Q", "ocr.null,ocr.gated")


@pytest.mark.parametrize(
    ("pool", "number"),
    [*((pool, signal.SIGTERM) for pool in POOLS), ("prefork", signal.SIGINT), ("threads", signal.SIGHUP)],
)
def test_a_job_that_outlasts_the_grace_is_put_back_at_once(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, pool: str, number: int, gates: Gates
) -> None:
    hasty = as_environment(settings) | {"shutdown_grace_s": 1, "lost_after_s": 100}
    job = queue.submit(page(60), **gates.fields)
    with worker(hasty, tmp_path, command=plain_celery(pool)) as running:
        wait_until(lambda: gates.reached(60), 60, "the job is at its page")
        running.process.send_signal(number)
        assert running.process.wait(100) == 0, running.log_text()[-3000:]
    status = job.status()
    assert (status.state, status.error and status.error.code) == ("queued", "worker.stopping")
    assert not queue.engines()["gated"]
    gates.open([60])
    with worker(hasty, tmp_path, command=plain_celery(pool)):
        assert job.wait(60).state == "succeeded"
        assert job.status().attempts == 2


@pytest.mark.parametrize(
    ("pool", "group_number"),
    [
        *((pool, None) for pool in POOLS),
        *(("prefork", number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)),
    ],
)
def test_a_job_that_ends_within_the_grace_does(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, pool: str, group_number: int | None, gates: Gates
) -> None:
    """`group_number`: sent to all of the process group, as a supervisor does, and a terminal that is closed."""
    patient = as_environment(settings) | {"shutdown_grace_s": 100}
    job = queue.submit(page(60), **gates.fields)
    with worker(patient, tmp_path, command=plain_celery(pool)) as running:
        wait_until(lambda: gates.reached(60), 60, "the job is at its page")
        if group_number is None:
            running.process.send_signal(signal.SIGTERM)
        else:
            os.killpg(running.process.pid, group_number)
        wait_until(gates.worker_stops, 60, "the worker has heard it")
        gates.open([60])
        assert running.process.wait(60) == 0
        status = job.status()
        assert (status.state, status.attempts) == ("succeeded", 1), running.log_text()[-3000:]


def test_another_signal_ends_the_grace(settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates) -> None:
    patient = as_environment(settings) | {"shutdown_grace_s": 1000, "lost_after_s": 100}
    job = queue.submit(page(60), **gates.fields)
    with worker(patient, tmp_path, command=plain_celery("prefork")) as running:
        wait_until(lambda: gates.reached(60), 60, "the job is at its page")
        running.process.send_signal(signal.SIGINT)
        wait_until(gates.worker_stops, 60, "the worker has heard it")
        assert job.status().state == "running"
        time.sleep(_NOT_THE_SAME_S)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
    assert job.status().state == "queued"


@pytest.mark.usefixtures("gates")
def test_a_solo_worker_gives_signs_of_life_while_it_reads(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    """One of a few: a worker that has no processor for two seconds loses its job to the other, as it should."""
    quick = as_environment(settings) | {"worker_heartbeat_s": 0.3, "lost_after_s": 2}
    attempts: list[int] = []
    while 1 not in attempts and len(attempts) < 3:
        job = queue.submit(HELLO, engine="null", cache=False, options={"delay_s": 4})
        with (
            worker(quick, tmp_path, command=plain_celery("solo")),
            worker(quick, tmp_path, "--engine", "null", "-c", "1"),
        ):
            status = job.wait(60)
            assert status.state == "succeeded"
            attempts.append(status.attempts)
    assert 1 in attempts, attempts
