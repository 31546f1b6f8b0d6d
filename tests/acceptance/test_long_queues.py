"""Recovery beside and behind many jobs that wait: it adds nothing, keeps the order, and finds what is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from ocrqueue.settings import WorkerSettings
from tests.support.gates import with_gated
from tests.support.outside import HASTY, Outside, from_outside
from tests.support.processes import Worker, wait_until
from tests.support.standstill import time_lost

FAULT = {"fault": "retryable"}
LONG_PAUSES = {"retry_backoff_s": 1000, "retry_backoff_max_s": 1000}
"""Nobody tries again before the test says so."""


@pytest.fixture
def outside(settings: WorkerSettings, tmp_path: Path) -> Iterator[Outside]:
    with from_outside(with_gated(settings.model_copy(update=HASTY)), tmp_path) as outside:
        yield outside


def delayed(outside: Outside) -> int:
    return int(outside.client.zcard(outside.key("delayed")))


def last_beat(outside: Outside, of: Worker) -> float:
    return next(worker.seen_at for worker in outside.queue.workers() if worker.pid == of.pid)


def end_pauses(outside: Outside) -> None:
    jobs = cast("list[bytes]", outside.client.zrange(outside.key("delayed"), 0, -1))
    outside.client.zadd(outside.key("delayed"), dict.fromkeys(jobs, 1))


@pytest.mark.parametrize(
    ("retries", "others", "rounds"), [(2050, 200, 100), pytest.param(5000, 5000, 200, marks=pytest.mark.all)]
)
def test_recovery_in_a_queue_with_many_retries_adds_no_message_and_keeps_the_order(
    outside: Outside, retries: int, others: int, rounds: int
) -> None:
    image = outside.stored_page()
    first = outside.queue.submit_many([image] * retries, engine="null", crops="none", options=FAULT)
    with outside.worker("--engine", "null", "-c", "2", **LONG_PAUSES):
        wait_until(lambda: delayed(outside) == retries, 600, "all are to be tried again")
    outside.queue.submit_many([image] * others, engine="null")
    end_pauses(outside)
    for _ in range(rounds):
        outside.command("reconcile")
    assert delayed(outside) == 0, "their pauses have ended"
    assert outside.waiting("ocr.null") == retries + others

    with outside.worker("--engine", "null", "-c", "1", **LONG_PAUSES):
        wait_until(lambda: delayed(outside) >= 30, 100, "some have been tried again")
    again = [job.status().attempts > 1 for job in first]
    assert again == sorted(again, reverse=True), "those that were submitted first had their turn first"


@pytest.mark.parametrize("elsewhere", [1100, pytest.param(20_000, marks=pytest.mark.all)])
def test_jobs_that_wait_in_a_lane_without_workers_hide_no_lost_job(outside: Outside, elsewhere: int) -> None:
    """Lost is one that a worker had taken and not begun."""
    image = outside.stored_page()
    outside.queue.submit_many([image] * elsewhere, engine="rapid")
    with outside.worker("--engine", "null", "-c", "1") as lost:
        (child,) = lost.running_children()
        os.kill(child, signal.SIGSTOP)
        job = outside.queue.submit(image, engine="null")
        wait_until(lambda: outside.waiting("ocr.null") == 0, 60, "it is in the worker's hand")
        os.killpg(lost.pid, signal.SIGKILL)
    assert (job.status().state, job.status().attempts) == ("queued", 0)

    def is_back() -> bool:
        outside.command("reconcile")
        return outside.waiting("ocr.null") == 1

    wait_until(is_back, 60, "it waits again")


@pytest.mark.all
@pytest.mark.usefixtures("gates")
@pytest.mark.parametrize("on_duty", ["survivor", "lost"])
def test_with_the_usual_settings_a_lost_job_is_back_within_25_seconds(
    settings: WorkerSettings, tmp_path: Path, on_duty: str
) -> None:
    """A worker that reads in another lane looks after it, also where the lost one had looked after all."""
    usual = with_gated(settings.model_copy(update={"worker_heartbeat_s": 5.0}))
    engines = {"survivor": "gated", "lost": "null"}
    with from_outside(usual, tmp_path) as outside, ExitStack() as workers:
        image = outside.stored_page()
        outside.queue.submit_many([image] * 20_000, engine="rapid")
        started = {}
        for name in sorted(engines, key=lambda name: name != on_duty):
            started[name] = workers.enter_context(outside.worker("--engine", engines[name], "-c", "1"))
            wait_until(lambda: outside.client.get(outside.key("duty")), 60, "the first has the duties")
        lost = started["lost"]
        (child,) = lost.running_children()
        os.kill(child, signal.SIGSTOP)
        outside.queue.submit(image, engine="null")
        wait_until(lambda: outside.waiting("ocr.null") == 0, 60, "it is in the worker's hand")
        before = last_beat(outside, lost)
        wait_until(lambda: last_beat(outside, lost) > before, 60, "its lease is as long as it can be")
        with time_lost() as lost_s:
            killed_at = time.monotonic()
            os.killpg(lost.pid, signal.SIGKILL)
            wait_until(lambda: outside.waiting("ocr.null") == 1, 100, "it waits again")
            took_s = time.monotonic() - killed_at - lost_s()
        assert took_s < 25, took_s
