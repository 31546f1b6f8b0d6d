"""Dead letters and lost jobs, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.local.reclaiming import Reclaiming
from ocrqueue.settings import WorkerSettings
from tests.support.brokers import Messages, celery_app
from tests.support.gates import Gates, page
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue
        assert check(registry_of(queue)) == []


@pytest.fixture
def hasty(settings: WorkerSettings) -> WorkerSettings:
    return settings.model_copy(update={"worker_heartbeat_s": 0.1, "lost_after_s": 0.5})


def run(
    settings: WorkerSettings, *arguments: str, stdin: str = "", status: int = 0
) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "ocrqueue.cli", *arguments],
        env=environment(as_environment(settings)),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == status, (ran.stdout, ran.stderr)
    return ran


def test_a_poison_job_is_listed_shown_replayed_and_dropped(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    assert "no dead letters" in run(settings, "dead", "list").stderr
    with worker(as_environment(settings), tmp_path, "--engine", "null", "-c", "1"):
        job = queue.submit(HELLO, engine="null", tag="the poison", options={"fault": "kill"})
        assert job.wait(200).state == "failed"
        listed = run(settings, "dead", "list").stdout
        assert job.id in listed
        assert "job.poison" in listed
        assert "the poison" in listed
        assert run(settings, "dead", "replay", job.id).stdout == f"{job.id}  queued\n"
        assert job.wait(200).state == "failed"
    shown = run(settings, "dead", "show", job.id).stdout
    assert "job.poison" in shown
    assert "before replay 1: failed, job.poison" in shown
    letter = json.loads(run(settings, "dead", "list", "--json").stdout)
    assert [outcome["error"]["code"] for outcome in letter["history"]] == ["job.poison"]
    run(settings, "dead", "drop", "-", stdin=f"{job.id}\n")
    assert run(settings, "dead", "list", "--json").stdout == ""
    assert "not a dead letter" in run(settings, "dead", "show", job.id).stderr
    assert run(settings, "dead", "drop", job.id).stdout == f"{job.id}  not on the list\n"
    assert "No job nobody" in run(settings, "dead", "replay", "nobody", status=3).stderr
    assert run(settings, "dead", "replay", job.id).stdout == f"{job.id}  queued\n"


def take(registry: WorkerRegistry) -> str:
    """As a worker does that says nothing more after it; the id of the job."""
    (part,) = registry.take(uuid.uuid4().hex, uuid.uuid4().hex, [("ocr.null", 1)]).parts
    registry.begin(part.hold, "silent@nowhere", "null")
    return part.hold.job_id


def test_what_a_lost_worker_had_is_back_without_any_worker(hasty: WorkerSettings, queue: OcrQueue) -> None:
    assert "no lost job is due" in run(hasty, "reconcile").stderr
    job = queue.submit(HELLO, engine="null")
    with closing(WorkerRegistry(hasty)) as registry:
        for _ in range(2):
            assert take(registry) == job.id
            wait_until(lambda: run(hasty, "reconcile").stdout == f"{job.id}  requeued\n", 60, "it is found")
    assert job.status().state == "queued"
    assert "no lost job is due" in run(hasty, "reconcile").stderr
    (waiting,) = [found.waiting for found in queue.queues() if found.name == "ocr.null"]
    assert waiting == 1


def test_what_foreign_apps_sent_is_taken_in_without_any_worker(settings: WorkerSettings, queue: OcrQueue) -> None:
    messages = Messages(queue, "ocr.null")
    job_id = messages.send({"image": "s3://bucket/page.png", "engine": "null"})
    assert "taken in" in run(settings, "reconcile").stdout
    assert messages.count() == 0
    assert queue.job(job_id).status().state == "queued"


def test_the_loop_goes_on_until_it_is_told(hasty: WorkerSettings, queue: OcrQueue) -> None:
    often = hasty.model_copy(update={"reconcile_interval_s": 0.1})
    loop = subprocess.Popen(
        [sys.executable, "-m", "ocrqueue.cli", "reconcile", "--loop", "--json"],
        env=environment(as_environment(often)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert loop.stdout is not None
        with closing(WorkerRegistry(hasty)) as registry:
            for _ in range(2):
                job = queue.submit(HELLO, engine="null")
                assert take(registry) == job.id
                found = json.loads(loop.stdout.readline())
                assert (found["requeued"], found["poison"]) == ([job.id], [])
                assert job.cancel() == "cancelled", "it waited again"
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(60) == 130
    finally:
        loop.kill()
        loop.communicate()


def test_a_local_system_looks_for_lost_jobs_while_no_worker_does(hasty: WorkerSettings, queue: OcrQueue) -> None:
    job = queue.submit(HELLO, engine="null")
    with closing(WorkerRegistry(hasty)) as registry:
        take(registry)
    assert job.status().state == "running"
    reclaiming = Reclaiming(hasty.model_copy(update={"reconcile_interval_s": 0.1}))
    try:
        wait_until(lambda: job.status().state == "queued", 60, "it waits again")
    finally:
        reclaiming.stop()


def test_who_sent_a_job_by_name_gets_the_summary_though_its_worker_was_killed(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    quick = {"worker_heartbeat_s": 0.3, "lost_after_s": 3}
    job = {"image": queue.storage.put("inputs/page.png", page(60), "image/png"), **gates.fields}
    with celery_app(settings) as theirs:
        environment = as_environment(settings) | quick
        with worker(environment, tmp_path, "--engine", "gated", "-c", "1") as killed:
            sent = theirs.send_task("ocrqueue.recognize", kwargs={"job": job}, queue="ocr.gated")
            wait_until(lambda: gates.reached(60), 60, "the job runs")
            os.killpg(killed.pid, signal.SIGKILL)
        gates.open([60])
        with worker(environment, tmp_path, "--engine", "gated", "-c", "1"):
            assert sent.get(timeout=100)["state"] == "succeeded"
        assert queue.job(sent.id).status().attempts == 2
        sent.forget()
