"""What one record or one result holds that cannot be read keeps no other lost job from being found."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocrqueue import Job, SubmittedJob
from ocrqueue.settings import WorkerSettings
from tests.support.gates import Gates, page, with_gated
from tests.support.outside import HASTY, Outside, from_outside
from tests.support.processes import wait_until


@pytest.fixture
def outside(settings: WorkerSettings, tmp_path: Path) -> Iterator[Outside]:
    with from_outside(with_gated(settings.model_copy(update=HASTY)), tmp_path) as outside:
        yield outside


def give_its_job_a_new_field(outside: Outside, job: SubmittedJob) -> None:
    """As a newer version of ocrqueue may."""
    record = outside.key(f"job:{job.id}")
    fields = json.loads(outside.client.hget(record, "job") or b"")
    outside.client.hset(record, "job", json.dumps(fields | {"of_the_future": {"x": 1}}))
    shown = json.loads(outside.command("status", job.id, "--json"))
    assert (shown["state"], shown["tag"]) == ("running", "damaged")


def make_its_result_unreadable(outside: Outside, job: SubmittedJob) -> None:
    """Reading it is an I/O error: nothing is at the first addresses of a process."""
    folder = outside.folder / "storage" / "results" / job.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").symlink_to("/proc/self/mem")


@pytest.mark.parametrize("damage", [give_its_job_a_new_field, make_its_result_unreadable])
def test_a_lost_job_is_found_beside_a_damaged_one(
    outside: Outside, gates: Gates, damage: Callable[[Outside, SubmittedJob], None]
) -> None:
    """Whichever of them is looked at first."""
    image = outside.queue.storage.put("inputs/page.png", page(60), "image/png")
    names = ("1-whole", "2-damaged", "3-whole")
    jobs = [outside.queue.submit(Job(id=name, image=image, tag=name[2:], **gates.fields)) for name in names]
    with outside.worker("--engine", "gated", "-c", "3") as lost:
        wait_until(lambda: {job.status().state for job in jobs} == {"running"}, 60, "all run")
        damage(outside, jobs[1])
        os.killpg(lost.pid, signal.SIGKILL)

    def are_back() -> bool:
        outside.command("reconcile")
        return outside.waiting("ocr.gated") == 3

    wait_until(are_back, 60, "all wait again")
    assert {job.status().state for job in jobs} == {"queued"}
