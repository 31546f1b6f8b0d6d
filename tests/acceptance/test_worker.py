"""Workers as an operator starts and stops them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.brokers import Messages, celery_app, wait_for_remote_control
from tests.support.gates import Gates, page, with_gated
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import Worker, as_environment, environment, wait_until, worker
from tests.support.standstill import time_lost

HELLO = png(text_picture("Hello 42"))
PAGE = page(60)
GATED = ("--engine", "gated", "-c", "1")


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return with_gated(settings)


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue
        assert check(registry_of(queue)) == []


def test_plain_celery_works_as_well(settings: WorkerSettings, queue: OcrQueue, tmp_path: Path) -> None:
    job = queue.submit(HELLO)
    arguments = ("-A", "ocrqueue_worker.app", "worker", "-Q", "ocr.tesseract", "-c", "1")
    with worker(as_environment(settings), tmp_path, *arguments, command=("-m", "celery")):
        assert job.result(timeout=100).text == "Hello 42"


def test_children_know_how_many_share_the_cores(settings: WorkerSettings, tmp_path: Path) -> None:
    with (
        worker(as_environment(settings), tmp_path, "--engine", "null", "--concurrency", "3"),
        celery_app(settings) as app,
    ):
        wait_for_remote_control(app)
        # the first answer ends the wait
        (configured,) = app.control.inspect(timeout=60, limit=1).conf().values()
    assert configured["worker_concurrency"] == 3


def test_limits_end_the_job_and_not_the_worker(settings: WorkerSettings, queue: OcrQueue, tmp_path: Path) -> None:
    limits = {"soft_time_limit_s": 2, "hard_time_limit_s": 6}
    arguments = ("--engine", "null", "--concurrency", "1")
    with worker(as_environment(settings) | limits, tmp_path, *arguments) as running:
        (child,) = running.children()
        for options in ({"delay_s": 60}, {"fault": "stall"}):
            slow = queue.submit(HELLO, engine="null", options=options).wait(60)
            assert (slow.state, slow.error and slow.error.code) == ("failed", "engine.timeout")
        assert running.children() == [child]
        reply_to = f"{settings.key_prefix}replies".replace(":", "-")
        hung = queue.submit(HELLO, engine="null", options={"fault": "hang"}, reply_to=reply_to).wait(60)
        told = Messages(queue, reply_to)
        wait_until(lambda: told.count() == 1, 60, "its end is told")
        assert (hung.state, hung.error and hung.error.code) == ("failed", "engine.timeout")
        # one for which a busy machine takes longer than two seconds fails as it should
        wait_until(lambda: queue.submit(HELLO, engine="null").wait(100).state == "succeeded", 60, "it goes on")
        assert running.alive()
        assert running.children() != [child]


def test_pages_left_when_time_is_up_fail_and_the_others_stay(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    # time enough for the first pages, also where the machine has much else to do
    limits = {"soft_time_limit_s": 12, "hard_time_limit_s": 30}
    image = tiff(*(Image.new("L", (width, 40), 255) for width in range(61, 65)))
    gates.open([61, 62])
    with worker(as_environment(settings) | limits, tmp_path, *GATED):
        job = queue.submit(image, **gates.fields)
        status = job.wait(60)
        assert status.state == "partial"
        codes = [page.error.code if page.error else None for page in job.result().pages]
        assert codes == [None, None, "engine.timeout", "engine.timeout"]


def test_sigterm_lets_what_runs_finish(settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates) -> None:
    patient = as_environment(settings) | {"shutdown_grace_s": 100}
    with worker(patient, tmp_path, *GATED) as running:
        job = queue.submit(PAGE, **gates.fields)
        waiting = queue.submit(PAGE, **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "the job runs")
        running.process.send_signal(signal.SIGTERM)
        wait_until(gates.worker_stops, 60, "it has heard it")
        gates.open([60])
        opened_at = time.monotonic()
        running.process.wait(90)
        assert time.monotonic() - opened_at < 50, "it does not sit out its grace"
        assert job.status().state == "succeeded"
        assert waiting.status().state == "queued"
        assert queue.engines()["gated"] == [], "the worker has signed off"
    with worker(as_environment(settings), tmp_path, *GATED):
        assert waiting.wait(60).state == "succeeded"
        assert waiting.status().attempts == 1


def test_a_killed_child_is_replaced_and_its_job_finished(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    # what only the end of a lease would bring back is not back within the test's patience
    patient = as_environment(settings) | {"lost_after_s": 200}
    with worker(patient, tmp_path, *GATED) as running:
        job = queue.submit(PAGE, **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "the job runs")
        (child,) = running.children()
        os.kill(child, signal.SIGKILL)
        gates.open([60])
        status = job.wait(100)
        assert (status.state, status.attempts) == ("succeeded", 2)
        assert running.alive()


def test_two_workers_share_a_queue(settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates) -> None:
    with worker(as_environment(settings), tmp_path, *GATED), worker(as_environment(settings), tmp_path, *GATED):
        jobs = queue.submit_many([PAGE] * 10, **gates.fields)

        def at_work() -> set[str | None]:
            return {job.status().worker for job in jobs if job.status().state == "running"}

        wait_until(lambda: len(at_work()) == 2, 60, "each has one")
        gates.open([60])
        assert {job.status().state for job in queue.as_completed(jobs, timeout=60)} == {"succeeded"}
        # after a moment without the processor a worker is not among those that live, until its next heartbeat
        wait_until(lambda: len(queue.engines()["gated"]) == 2, 60, "both are there")


@pytest.mark.parametrize(
    ("arguments", "settings_given", "message"),
    [
        (("--engine", "clairvoyance"), {}, "engine.unknown"),
        (("--engine", "tesseract"), {"tessdata_dir": "/nowhere"}, "engine.unavailable"),
        ((), {"lost_after_s": 5}, "lost_after_s (5.0) must be at least twice worker_heartbeat_s"),
        ((), {"redis_url": "http://h"}, "settings.invalid"),
    ],
)
def test_a_worker_that_cannot_work_says_why_and_does_not_start(
    tmp_path: Path, arguments: tuple[str, ...], settings_given: dict[str, object], message: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ocrqueue_worker", *arguments],
        env=environment(settings_given),
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_message_in_another_engines_list_becomes_a_job_of_the_engine_that_it_names(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    job = {"image": queue.storage.put("inputs/hello.png", HELLO, "image/png"), "engine": "null"}
    with worker(as_environment(settings), tmp_path, "--engine", "null", "-c", "1"):
        job_id = Messages(queue, "ocr.tesseract").send(job)
        wait_until(lambda: registry_of(queue).jobs([job_id]) != [None], 60, "it is taken in")
        status = queue.job(job_id).wait(60)
        assert (status.state, status.queue) == ("succeeded", "ocr.null")
        assert Messages(queue, "ocr.tesseract").count() == 0


def test_a_worker_killed_whole_loses_its_job_to_another_within_seconds(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    defaults = {name: value for name, value in as_environment(settings).items() if name != "worker_heartbeat_s"}
    with worker(defaults, tmp_path, *GATED), worker(defaults, tmp_path, *GATED):
        job = queue.submit(PAGE, **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "the job runs")
        first = job.status().worker
        # after a moment without the processor a worker is not among those that live, until its next heartbeat
        wait_until(lambda: len(queue.engines()["gated"]) == 2, 60, "both workers are there")
        pids = {info.name: info.pid for info in queue.engines()["gated"]}
        with time_lost() as lost_s:
            os.killpg(pids.pop(first or ""), signal.SIGKILL)
            killed_at = time.monotonic()
            gates.open([60])
            status = job.wait(100)
            assert time.monotonic() - killed_at - lost_s() < 30
        assert (status.state, status.attempts) == ("succeeded", 2)
        assert [status.worker] == list(pids)


def test_a_long_job_is_kept_alive_by_its_worker(settings: WorkerSettings, queue: OcrQueue, tmp_path: Path) -> None:
    """One of a few: a worker that has no processor for two seconds loses its job to the other, as it should."""
    quick = as_environment(settings) | {"worker_heartbeat_s": 0.3, "lost_after_s": 2}
    arguments = ("--engine", "null", "-c", "1")
    attempts: list[int] = []
    with worker(quick, tmp_path, *arguments), worker(quick, tmp_path, *arguments):
        while 1 not in attempts and len(attempts) < 3:
            status = queue.submit(HELLO, engine="null", cache=False, options={"delay_s": 4}).wait(60)
            assert status.state == "succeeded"
            attempts.append(status.attempts)
    assert 1 in attempts, attempts


def test_a_cancelled_job_deep_in_a_call_is_stopped_within_two_seconds(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    """The quickest of a few: another program may have the processor for a moment."""
    took_s: list[float] = []
    with worker(as_environment(settings), tmp_path, *GATED) as running:
        while not took_s or (min(took_s) > 2 and len(took_s) < 5):
            width = 60 + len(took_s)
            job = queue.submit(page(width), **gates.fields)
            wait_until(partial(gates.reached, width), 60, "the job is at its page")
            (child,) = running.running_children()
            asked_at = time.monotonic()
            assert job.cancel() == "running"
            wait_until(partial(has_gone, running, child), 60, "its child is gone")
            took_s.append(time.monotonic() - asked_at)
            assert job.wait(60).state == "cancelled"
        assert min(took_s) <= 2, took_s
        gates.open([60])
        assert queue.submit(PAGE, **gates.fields).wait(60).state == "succeeded"


def has_gone(started: Worker, child: int) -> bool:
    return child not in started.running_children()


def test_a_job_that_outlasts_the_grace_goes_back_without_a_mark(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    hasty = as_environment(settings) | {"shutdown_grace_s": 1}
    job = queue.submit(PAGE, **gates.fields)
    for _ in range(4):
        with worker(hasty, tmp_path, *GATED) as running:
            wait_until(lambda: job.status().state == "running", 60, "the job runs")
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(60)
        status = job.status()
        assert status.state == "queued"
        assert status.error is not None
        assert status.error.code == "worker.stopping"
    gates.open([60])
    with worker(hasty, tmp_path, *GATED):
        assert job.wait(60).state == "succeeded"
