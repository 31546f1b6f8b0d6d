"""Jobs that have ended stay so, and keep their results, however late their messages or ids come again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from ocrqueue import Job
from ocrqueue.settings import WorkerSettings
from tests.support.brokers import celery_app
from tests.support.outside import HASTY, Outside, from_outside
from tests.support.pictures import png, text_picture
from tests.support.processes import wait_until

NULL = ("--engine", "null", "-c", "1")
HELLO = png(text_picture("Hello 42"))


@pytest.fixture
def outside(settings: WorkerSettings, tmp_path: Path) -> Iterator[Outside]:
    with from_outside(settings.model_copy(update=HASTY), tmp_path) as outside:
        yield outside


def test_a_cancelled_job_never_runs_though_its_record_has_expired(outside: Outside) -> None:
    """It waits for longer than records of ended jobs are kept."""
    cancelled, behind = outside.queue.submit_many([outside.stored_page()] * 2, engine="null")
    assert cancelled.cancel() == "cancelled"
    outside.forget_record(cancelled.id)
    with outside.worker(*NULL):
        assert behind.wait(60).state == "succeeded"
    assert outside.results(cancelled.id) == set()
    assert not outside.client.exists(outside.key(f"job:{cancelled.id}"))


def test_no_late_message_and_no_reused_id_takes_a_result_away(outside: Outside) -> None:
    """Nor where nothing in Redis tells any more that the job has ended."""
    image = outside.queue.storage.put("inputs/page.png", HELLO, "image/png")
    job = {"image": image, "engine": "null", "cache": False}
    with outside.worker(*NULL), celery_app(outside.settings) as theirs:
        first = send(theirs, job, "the-id")
        assert first.get(timeout=60)["state"] == "succeeded"
        stored = outside.results("the-id")
        document = outside.queue.job("the-id").result()
        assert len(stored) > 1, "a result and crops"
        outside.queue.storage.delete(["inputs/page.png"])

        outside.forget_record("the-id")
        send(theirs, job, "the-id")
        served_after(outside)
        assert outside.results("the-id") == stored

        for key in outside.client.scan_iter(match=outside.key("ended_ids:*")):
            outside.client.srem(key, "the-id")
        outside.client.delete(outside.key("job:the-id"))
        again = outside.queue.submit(Job(**job, id="the-id"))
        assert again.wait(60).state == "succeeded"
        assert again.result() == document
        assert outside.results("the-id") == stored
        first.forget()


def test_a_dead_letter_is_forgotten_when_its_time_is_over(outside: Outside) -> None:
    """However few there are."""
    with outside.worker(*NULL):
        job = outside.queue.submit(HELLO, engine="null", options={"fault": "error"})
        assert job.wait(60).state == "failed"
    assert outside.client.zcard(outside.key("dead")) == 1
    outside.forget_record(job.id)
    outside.client.zadd(outside.key("dead"), {job.id: 1})
    outside.command("reconcile")
    assert outside.client.zcard(outside.key("dead")) == 0


def send(theirs: Celery, job: dict[str, object], task_id: str):  # type: ignore[no-untyped-def]  # celery has no types
    return theirs.send_task("ocrqueue.recognize", kwargs={"job": job}, queue="ocr.null", task_id=task_id)


def served_after(outside: Outside) -> None:
    """What was sent before is dealt with once the same worker has taken all messages, and read one job more."""
    wait_until(lambda: not outside.client.exists(f"{outside.settings.key_prefix}ocr.null"), 60, "it is taken in")
    assert outside.queue.submit(HELLO, engine="null").wait(60).state == "succeeded"
