"""What others, or a newer version, put where keys of ours belong: no worker ends over it, and the next job is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.gates import BATCHED, Gates, with_gated
from tests.support.pictures import png, text_picture
from tests.support.processes import Worker, as_environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return with_gated(settings)


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue
        assert check(registry_of(queue)) == []


@pytest.fixture
def running(settings: WorkerSettings, tmp_path: Path, gates: Gates) -> Iterator[Worker]:
    arguments = ("--engine", "null", "--engine", BATCHED, "-c", "1")
    with worker(as_environment(settings), tmp_path, *arguments) as started:
        yield started


def wait_in_lane(queue: OcrQueue, lane: str, *parts: str) -> None:
    """As SUBMIT leaves them, but for their records."""
    client, keys = registry_of(queue).client, registry_of(queue).keys
    for number, part in enumerate(parts):
        client.zadd(keys.queue(lane, ""), {part: number})
    client.zadd(keys.lane(lane), {"": 0})
    client.hincrby(keys.waiting(), lane, len(parts))


def ring(queue: OcrQueue, lane: str) -> None:
    registry_of(queue).client.lpush(registry_of(queue).keys.bell(lane), "1")


@pytest.mark.parametrize("engine", ["null", BATCHED])
def test_a_job_whose_id_no_job_can_have_ends_and_holds_up_nobody(queue: OcrQueue, running: Worker, engine: str) -> None:
    client, keys, lane = registry_of(queue).client, registry_of(queue).keys, f"ocr.{engine}"
    strange = ["x" * 65, "../../../x", "ä"]
    for number, job_id in enumerate(strange):
        fields = {"id": job_id, "image": "s3://bucket/page.png", "engine": engine}
        record = {"state": "queued", "place": "waiting", "lane": lane, "sequence": number, "kind": "one"}
        client.hset(keys.record(job_id), mapping={**record, "queued_at": 1, "job": json.dumps(fields)})
    wait_in_lane(queue, lane, *strange)
    ring(queue, lane)
    for job_id in strange:
        wait_until(lambda job_id=job_id: registry_of(queue).status(job_id).finished, 60, "it ends")  # type: ignore[misc]  # mypy takes the default for an argument
        status = registry_of(queue).status(job_id)
        assert (status.state, status.error and status.error.code) == ("failed", "job.malformed")
    assert queue.submit(HELLO, engine=engine, crops="none").wait(60).state == "succeeded"
    assert running.alive()


def test_a_key_of_another_type_in_a_records_place_is_passed_over(queue: OcrQueue, running: Worker) -> None:
    client, keys = registry_of(queue).client, registry_of(queue).keys
    behind = [queue.submit(HELLO, engine="null", crops="none") for _ in range(3)]
    for job_id, page in (("string", False), ("list", False), ("page", True)):
        if page:
            client.hset(keys.part(f"{job_id}:00001"), mapping={"place": "waiting", "lane": "ocr.null", "kind": ""})
        (client.set if job_id == "string" else client.lpush)(keys.record(job_id), "theirs")
        wait_in_lane(queue, "ocr.null", f"{job_id}:00001" if page else job_id)
    ring(queue, "ocr.null")
    assert {job.wait(60).state for job in behind} == {"succeeded"}
    assert queue.submit(HELLO, engine="null", crops="none").wait(60).state == "succeeded"
    wait_until(lambda: not client.exists(keys.lane("ocr.null")), 60, "they have left the lane")
    assert (client.get(keys.record("string")), client.llen(keys.record("list"))) == (b"theirs", 1)
    client.delete(*map(keys.record, ("string", "list", "page")))
    assert running.alive()


def test_an_error_of_redis_is_waited_for_and_ends_no_worker(queue: OcrQueue, running: Worker) -> None:
    client, keys = registry_of(queue).client, registry_of(queue).keys
    client.set(keys.lane("ocr.null"), "theirs")
    ring(queue, "ocr.null")
    wait_until(lambda: "cannot take from the lanes" in running.log_text(), 60, "the worker has met it")
    client.delete(keys.lane("ocr.null"))
    assert queue.submit(HELLO, engine="null", crops="none").wait(60).state == "succeeded"
    assert running.alive()
    assert "Traceback" not in running.log_text()
