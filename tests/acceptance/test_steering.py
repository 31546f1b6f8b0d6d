"""Pausing and resuming under load, and workers that are drained: what runs ends, what waits goes on in order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocrqueue import SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings
from tests.support.gates import Gates, page, with_gated
from tests.support.outside import Outside, from_outside
from tests.support.processes import as_environment, wait_until, worker

POOLS = ("prefork", "threads", "solo")


@pytest.fixture
def outside(settings: WorkerSettings, tmp_path: Path) -> Iterator[Outside]:
    with from_outside(with_gated(settings), tmp_path) as outside:
        yield outside


def started_ms(outside: Outside, jobs: list[SubmittedJob]) -> dict[str, int]:
    """When each that has started did, by Redis's clock."""
    with outside.client.pipeline() as pipeline:
        for job in jobs:
            pipeline.hget(outside.key(f"job:{job.id}"), "started_at")
        found = pipeline.execute()
    return {job.id: int(at) for job, at in zip(jobs, found, strict=True) if at is not None}


def states(outside: Outside, jobs: list[SubmittedJob]) -> list[str]:
    found = registry_of(outside.queue).statuses([job.id for job in jobs])
    return [status.state for status in found if status is not None]


HELD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "engine": ({}, {"engine": "null", "options": {}}),
    "lane": ({"priority": "low"}, {"priority": "normal"}),
    "tenant": ({"tenant": "acme"}, {"tenant": "other"}),
}
NAMES = {"engine": "gated", "lane": "ocr.gated.low", "tenant": "acme"}


@pytest.mark.parametrize("kind", [*HELD])
def test_pause_and_resume_under_load(outside: Outside, kind: str, gates: Gates) -> None:
    held_fields, other_fields = ({**gates.fields, **fields} for fields in HELD[kind])
    image, waits = (outside.queue.storage.put(f"inputs/{width}.png", page(width), "image/png") for width in (60, 61))
    common = {"cache": False, "crops": "none"}
    gates.open([60])
    with outside.worker("-e", "null", "-e", "gated", "-c", "1") as running:
        # the sixth is read for as long as the pause takes to be made
        held = outside.queue.submit_many([*[image] * 5, waits, *[image] * 54], **held_fields, **common)
        wait_until(lambda: gates.reached(61), 60, "they are read")
        outside.command("pause", f"--{kind}", NAMES[kind], "--reason", "a trial")
        (told,) = json.loads(outside.command("pause", "--json"))
        assert (told["kind"], told["name"], told["reason"]) == (kind, NAMES[kind], "a trial")
        (paused,) = outside.queue.pauses()
        gates.open([61])
        # it arrives meanwhile, and waits behind the others
        held += outside.queue.submit_many([image] * 5, **held_fields, **common)
        others = outside.queue.submit_many([image] * 20, **other_fields, **common)
        for job in others:
            assert job.wait(60).state == "succeeded"
        wait_until(lambda: "running" not in states(outside, held), 60, "what ran has ended")
        time.sleep(2)
        before = started_ms(outside, held)
        assert len(before) < 60
        assert max(before.values()) <= paused.since.timestamp() * 1000 + 1000
        assert set(states(outside, held)) == {"succeeded", "queued"}
        outside.command("resume", f"--{kind}", NAMES[kind])
        for job in held:
            assert job.wait(60).state == "succeeded"
        started = started_ms(outside, held)
        assert sorted(started, key=lambda job_id: started[job_id]) == [job.id for job in held]
        assert running.alive()


def test_top_queues_and_engines_show_what_is_paused(outside: Outside) -> None:
    outside.queue.submit(outside.stored_page(), engine="null", tenant="acme")
    outside.command("pause", "--tenant", "acme", "--engine", "rapid", "--lane", "ocr.null.low")
    shown = outside.command("top", "--once")
    assert "paused: engine rapid, lane ocr.null.low, tenant acme" in shown
    assert "acme 1 (paused)" in outside.command("queues")
    assert json.loads(outside.command("engines", "--json"))["rapid"]["paused"]
    assert "acme" in outside.command("tenants")
    assert outside.command("pause").count("\n") == 4
    outside.command("resume", "--all")
    assert outside.command("pause", "--json").strip() == "[]"
    outside.command("pause", "--engine", "nonesuch", status=2)
    outside.command("pause", "--lane", "scans", status=2)
    outside.command("resume", status=2)


def command_of(start: str, pool: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if start == "celery":
        lanes = "ocr.null,ocr.gated"
        return ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "1", "-Q", lanes), ()
    return ("-m", "ocrqueue_worker"), ("-e", "null", "-e", "gated", "-c", "1")


@pytest.mark.parametrize(("start", "pool"), [("ocrqueue-worker", "prefork"), *(("celery", pool) for pool in POOLS)])
def test_a_drained_worker_ends_its_job_takes_nothing_more_and_exits_with_0(
    outside: Outside, gates: Gates, start: str, pool: str
) -> None:
    """However long that takes: longer than the grace of SIGTERM, and than a lease."""
    program, arguments = command_of(start, pool)
    hasty = {"worker_heartbeat_s": 0.2, "lost_after_s": 1, "shutdown_grace_s": 0}
    with worker(as_environment(outside.settings) | hasty, outside.folder, *arguments, command=program) as running:
        job = outside.queue.submit(page(60), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "the job is at its page")
        waiting = outside.queue.submit(page(61), engine="null")
        (told,) = outside.queue.drain(outside.queue.workers()[0].name)
        assert told.pid == running.pid
        wait_until(gates.worker_stops, 60, "the worker has heard it")
        wait_until(lambda: outside.queue.workers()[0].draining, 60, "it says so")
        assert "draining" in outside.command("workers")
        assert "draining" in outside.command("top", "--once")
        time.sleep(3)
        assert job.status().state == "running"
        gates.open([60])
        assert running.process.wait(60) == 0, running.log_text()[-3000:]
    assert (job.status().state, job.status().attempts) == ("succeeded", 1)
    assert (waiting.status().state, waiting.status().attempts) == ("queued", 0)
    assert outside.queue.workers() == []
    with outside.worker("-e", "null", "-c", "1"):
        assert waiting.wait(60).state == "succeeded"


@pytest.mark.usefixtures("gates")
def test_a_worker_drained_under_load_loses_nothing(outside: Outside) -> None:
    image = outside.stored_page()
    with outside.worker("-e", "null", "-c", "2", "-n", "stays@here") as stays:
        with outside.worker("-e", "null", "-c", "2", "-n", "leaves@here") as leaves:
            fields: dict[str, Any] = {"engine": "null", "cache": False, "crops": "none", "options": {"delay_s": 0.02}}
            jobs = outside.queue.submit_many([image] * 200, **fields)

            def has_its_share() -> bool:
                # it may be held up while the other reads all that there is
                if outside.waiting("ocr.null") < 50:
                    jobs.extend(outside.queue.submit_many([image] * 100, **fields))
                found = registry_of(outside.queue).statuses([job.id for job in jobs])
                return sum(each is not None and each.worker == "leaves@here" for each in found) >= 5

            wait_until(has_its_share, 60, "it has its share")
            outside.command("workers", "drain", "leaves@here", "--wait", "60")
            assert leaves.process.wait(60) == 0, leaves.log_text()[-3000:]
        for job in jobs:
            status = job.wait(60)
            assert (status.state, status.attempts) == ("succeeded", 1)
        assert stays.alive()
        outside.command("workers", "drain", "leaves@here", status=3)
        assert [each["name"] for each in json.loads(outside.command("workers", "--json"))] == ["stays@here"]


def test_drain_tells_who_has_not_ended_in_time(outside: Outside, gates: Gates) -> None:
    with outside.worker("-e", "gated", "-c", "1", "-n", "mine@here", worker_heartbeat_s=0.2) as running:
        job = outside.queue.submit(page(60), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "the job is at its page")
        outside.command("workers", "drain", "mine@here", "--wait", "0.5", status=4)
        gates.open([60])
        assert running.process.wait(60) == 0
    assert job.status().state == "succeeded"


def test_children_are_replaced_after_so_many_jobs_and_nothing_is_lost(outside: Outside) -> None:
    image = outside.stored_page()
    fields = {"engine": "null", "cache": False, "crops": "none", "options": {"delay_s": 0.05}}
    with outside.worker("-e", "null", "-c", "2", max_jobs_per_child=4) as running:
        first = set(running.running_children())

        def are_replaced() -> bool:
            """Under load: each needs a job to be its last."""
            for job in outside.queue.submit_many([image] * 20, **fields):
                status = job.wait(60)
                assert (status.state, status.attempts) == ("succeeded", 1)
            # never both at a time
            assert running.running_children()
            return first.isdisjoint(running.running_children())

        wait_until(are_replaced, 60, "both have been replaced")
        jobs_done = [json.loads(line)["jobs"] for line in running.log_text().splitlines() if "done its jobs" in line]
        assert len(jobs_done) >= 2
        assert min(jobs_done) >= 4
        assert "child of a part is lost" not in running.log_text()
