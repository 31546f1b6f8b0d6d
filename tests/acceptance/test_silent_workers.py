"""A worker keeps what it has while storage keeps it waiting, and has nothing of another's, whatever they are called."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue.settings import WorkerSettings
from tests.support.gates import Gates, page, with_gated
from tests.support.outside import HASTY, Outside, from_outside
from tests.support.processes import wait_until

UNSURE = {"confidence": 0.3, "words": 4}
LONG_S = 2 + 2 * HASTY["lost_after_s"]
"""A child is killed a second after a limit of one, and its worker could be lost by then."""


@pytest.fixture
def outside(settings: WorkerSettings, tmp_path: Path) -> Iterator[Outside]:
    with from_outside(with_gated(settings.model_copy(update=HASTY)), tmp_path) as outside:
        yield outside


def test_storage_that_does_not_answer_silences_no_worker(outside: Outside, gates: Gates) -> None:
    """It is asked for what stands of a job whose second engine was killed."""
    limits = {"soft_time_limit_s": 100, "hard_time_limit_s": 101}
    with outside.worker("--engine", "null", "--engine", "gated", "-c", "2", **limits) as running:
        beside = outside.queue.submit(page(60), **gates.fields)
        hung = outside.queue.submit(
            page(61),
            engine="null",
            fallback=["gated"],
            options={"null": UNSURE, "gated": {**gates.fields["options"], "fault": "hang"}},
            crops="none",
            # long enough for what is done until it strikes, also by a test that is held up
            time_limit_s=12,
        )
        wait_until(lambda: gates.reached(61), 60, "the second engine has it")
        stands = outside.folder / "storage" / "results" / hung.id / "steps" / "1-standing.json"
        aside = stands.rename(stands.with_name("aside"))
        # whoever opens it waits for somebody who writes
        os.mkfifo(stands)
        children, since = set(running.running_children()), last_sign(outside)
        gates.open([61])
        wait_until(lambda: last_sign(outside) > since + LONG_S, 60, "the worker says that it lives")
        wait_until(lambda: children - set(running.running_children()), 60, "the child has been killed")
        outside.command("reconcile")
        status = beside.status()
        assert (status.state, status.attempts) == ("running", 1)
        assert hung.status().attempts == 2, "one for each engine: it is being settled, and nobody else's"

        pipe = stands.rename(stands.with_name("pipe"))
        aside.rename(stands)
        os.close(os.open(pipe, os.O_RDWR))
        status = hung.wait(60)
        assert status.finished
        assert status.attempts == 2
        gates.open([60])
        status = beside.wait(60)
        assert (status.state, status.attempts) == ("succeeded", 1)


def last_sign(outside: Outside) -> float:
    """When the only worker said that it lives, in seconds; 0 if that was too long ago."""
    return max((worker.seen_at for worker in outside.queue.engines()["gated"]), default=0.0)


def test_workers_of_one_name_take_nothing_from_each_other(outside: Outside, gates: Gates) -> None:
    """The first stands still until its job is the second's, and then sees that its own child has died over it."""
    called = ("--engine", "gated", "-c", "1", "-n", "gated-7@container")
    # where both live, one that is held up for as long as a lease loses its job, as it should
    held = {"lost_after_s": 6}
    with outside.worker(*called, **held) as first:
        job = outside.queue.submit(page(60), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "the first reads it")
        (child,) = first.running_children()
        with outside.worker(*called, **held):
            os.kill(first.pid, signal.SIGSTOP)
            os.kill(child, signal.SIGKILL)
            wait_until(lambda: job.status().attempts == 2, 60, "the second reads it")
            os.kill(first.pid, signal.SIGCONT)
            another = outside.queue.submit(page(61), **gates.fields)
            wait_until(lambda: gates.reached(61) or job.status().attempts > 2, 60, "the first has a new child")
            gates.open([60, 61])
            assert another.wait(60).state == "succeeded"
            status = job.wait(60)
            assert (status.state, status.attempts) == ("succeeded", 2)
            wait_until(lambda: len(outside.queue.engines()["gated"]) == 2, 60, "both are there")
