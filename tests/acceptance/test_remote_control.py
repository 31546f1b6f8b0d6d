"""Celery's own commands, given with the workers' app as an operator does: they are answered, and none does harm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.brokers import celery_app, wait_for_remote_control
from tests.support.pictures import png, text_picture
from tests.support.processes import Worker, as_environment, environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))
NODE = "mine@here"


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue
        assert check(registry_of(queue)) == []


@pytest.fixture
def running(settings: WorkerSettings, tmp_path: Path) -> Iterator[Worker]:
    command = ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-c", "1", "-Q", "ocr.null", "-n", NODE)
    with worker(as_environment(settings), tmp_path, command=command) as started:
        with celery_app(settings) as theirs:
            wait_for_remote_control(theirs)
        yield started


def celery(settings: WorkerSettings, *arguments: str, within_s: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "ocrqueue_worker.app", *arguments],
        env=environment(as_environment(settings)),
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


def ask(settings: WorkerSettings, *arguments: str) -> str:
    """The answer of the one worker: it is named, so that nobody waits for others."""
    asked = celery(settings, *arguments, "-d", NODE, "-t", "60")
    return asked.stdout + asked.stderr


def works(queue: OcrQueue, **fields: object) -> None:
    job = queue.submit(HELLO, engine="null", crops="none", **fields)  # type: ignore[arg-type]  # fields of several types in one dict
    assert job.wait(60).state == "succeeded"


def test_the_workers_own_app_asks_and_ends_a_worker(settings: WorkerSettings, queue: OcrQueue, running: Worker) -> None:
    assert "pong" in ask(settings, "inspect", "ping")
    assert f"{NODE}: OK" in ask(settings, "inspect", "active")
    works(queue)
    # nobody answers it
    celery(settings, "control", "shutdown", "-d", NODE, "-t", "0.1")
    assert running.process.wait(60) == 0


def test_a_queue_that_is_no_lane_is_refused_and_the_worker_goes_on(
    settings: WorkerSettings, queue: OcrQueue, running: Worker
) -> None:
    for name in ("scans", "ocr.", "ocr.null.normal", "ocr", "celery"):
        assert "no lane of an engine" in ask(settings, "control", "add_consumer", name)
    works(queue)
    assert "pong" in ask(settings, "inspect", "ping")
    assert "add consumer" in ask(settings, "control", "add_consumer", "ocr.null.low")
    works(queue, priority="low")
    assert running.alive()


def test_lanes_and_children_that_it_was_given_or_lost_are_announced(
    settings: WorkerSettings, queue: OcrQueue, running: Worker
) -> None:
    def announced() -> tuple[tuple[str, ...], int] | None:
        # a worker that is held up is not among those that live, until its next heartbeat
        return next(((worker.queues, worker.concurrency) for worker in queue.workers()), None)

    wait_until(lambda: announced() == (("ocr.null",), 1), 60, "it is announced as it was started")
    ask(settings, "control", "add_consumer", "ocr.null.low")
    ask(settings, "control", "pool_grow", "1")
    wait_until(lambda: announced() == (("ocr.null", "ocr.null.low"), 2), 60, "what it was given is announced")
    ask(settings, "control", "cancel_consumer", "ocr.null")
    wait_until(lambda: announced() == (("ocr.null.low",), 2), 60, "nobody takes it for one of that lane")

    def workers() -> dict[str, int]:
        return {lane.name: lane.workers for lane in queue.queues() if lane.engine == "null"}

    told = {"ocr.null.high": 0, "ocr.null": 0, "ocr.null.low": 1}
    wait_until(lambda: workers() == told, 60, "nor do those who look at the queues")


def test_a_lane_of_an_engine_that_it_was_not_started_for_is_refused(
    settings: WorkerSettings, queue: OcrQueue, running: Worker
) -> None:
    assert "not started for tesseract, but for null" in ask(settings, "control", "add_consumer", "ocr.tesseract")
    wait_until(queue.workers, 60, "it is there")
    assert [worker.queues for worker in queue.workers()] == [("ocr.null",)]


def test_a_rate_limit_is_no_command_and_holds_no_part_back(
    settings: WorkerSettings, queue: OcrQueue, running: Worker
) -> None:
    with celery_app(settings) as theirs:
        answers = theirs.control.rate_limit("ocrqueue.recognize", "1/h", reply=True, timeout=60, destination=[NODE])
    assert [list(answer[NODE]) for answer in answers] == [["error"]]
    for _ in range(3):
        works(queue)


@pytest.mark.parametrize("queues", ["scans", "ocr.null,scans", "ocr.null.normal"])
def test_a_worker_for_a_queue_that_is_no_lane_does_not_start(settings: WorkerSettings, queues: str) -> None:
    refused = celery(settings, "worker", "-P", "solo", "-Q", queues)
    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("error: settings.invalid: No engine has a queue '")
