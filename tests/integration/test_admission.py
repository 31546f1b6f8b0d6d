"""Queues that are full: who is refused, what is queued all the same, and how to wait."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.cli.program import program
from ocrqueue.client import registry_of
from ocrqueue.core import Outcome, QueueInfo, WorkerRegistry
from ocrqueue.errors import QueueFull
from ocrqueue.job import queue_name
from ocrqueue.settings import WorkerSettings
from ocrqueue.settings.per_engine import PerEngine
from tests.faults.messages_envelopes import envelope
from tests.support.moves import taken_in
from tests.support.processes import as_environment, environment, redis_server, wait_until

IMAGE = "s3://bucket/page.png"
LANES = ("high", "normal", "low")


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return settings.model_copy(update={"max_queue_length": PerEngine(3, {"null": 10})})


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue


def messages(queue: OcrQueue, engine: str = "tesseract") -> list[str]:
    """The ids of the jobs that wait, the first to be taken first."""
    client, keys = registry_of(queue).client, registry_of(queue).keys
    lanes = [client.zrange(keys.queue(queue_name(engine, lane), ""), 0, -1) for lane in LANES]
    return [part.decode() for lane in lanes for part in lane]


def all_keys(queue: OcrQueue) -> set[bytes]:
    return set(registry_of(queue).client.scan_iter(match=f"{queue.settings.key_prefix}*", count=1000))


def take(queue: OcrQueue, engine: str = "tesseract", lane: Any = "normal") -> str | None:
    """Take a part as a worker does."""
    worker = WorkerRegistry(queue.settings, registry_of(queue).client)
    taken = worker.take(uuid.uuid4().hex, "holder", [(queue_name(engine, lane), 1)])
    return taken.parts[0].hold.part if taken.parts else None


def end(queue: OcrQueue, number: int, engine: str = "tesseract") -> None:
    """Let so many jobs of the engine end that waited in no lane of it."""
    worker = WorkerRegistry(queue.settings, registry_of(queue).client)
    for _ in range(number):
        list(worker.submit([Job(image=IMAGE, engine="rapid")]))
        (part,) = worker.take(uuid.uuid4().hex, "holder", [("ocr.rapid", 1)]).parts
        job_id = part.hold.job_id
        job = Job(id=job_id, image=IMAGE, engine=engine)
        worker.finish(part.hold, job, Outcome(job_id=job_id, state="succeeded"))


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_full_queue_refuses_whatever_the_lane_and_nothing_is_written(queue: OcrQueue) -> None:
    for lane in LANES:
        queue.submit(IMAGE, priority=lane)
    before = all_keys(queue)
    for lane in LANES:
        with pytest.raises(QueueFull) as refused:
            queue.submit(IMAGE, priority=lane, idempotency_key="order 4711")
    assert all_keys(queue) == before
    info = refused.value.info
    assert info.retryable
    assert info.details == {"engine": "tesseract", "waiting": 3, "limit": 3, "retry_after_s": 60, "submitted": 0}
    assert info.message == "tesseract's queue is full (3 of 3 jobs); none has ended in the last 5 minutes."
    assert refused.value.retry_after_s == 60
    take(queue, lane="low")
    assert queue.submit(IMAGE, idempotency_key="order 4711").id in messages(queue), "the key was not taken"


def test_every_engine_has_a_limit_of_its_own_and_none_may_be_set(settings: WorkerSettings, queue: OcrQueue) -> None:
    queue.submit_many([IMAGE] * 3)
    assert len(queue.submit_many([IMAGE] * 10, engine="null")) == 10
    with pytest.raises(QueueFull):
        queue.submit(IMAGE, engine="null")
    with OcrQueue(settings.model_copy(update={"max_queue_length": PerEngine(0)})) as unlimited:
        assert len(unlimited.submit_many([IMAGE] * 600)) == 600


def test_what_was_submitted_before_is_never_refused(queue: OcrQueue) -> None:
    known, keyed = Job(image=IMAGE), Job(image=IMAGE, idempotency_key="order 4711")
    queue.submit_many([known, keyed, IMAGE])
    again = Job(image=IMAGE, idempotency_key="order 4711")
    assert [job.id for job in queue.submit_many([known, again, keyed])] == [known.id, keyed.id, keyed.id]
    assert len(messages(queue)) == 3
    registry_of(queue).client.delete(registry_of(queue).keys.record(keyed.id))
    with pytest.raises(QueueFull):
        queue.submit(again)


def test_of_many_the_first_are_queued_and_the_others_handed_back(queue: OcrQueue) -> None:
    taken = []

    def images() -> Iterator[str]:
        for number in range(2000):
            taken.append(number)
            yield f"{IMAGE}?{number}"

    with pytest.raises(QueueFull) as refused:
        queue.submit_many(images(), tag="batch")
    full = refused.value
    assert [job.id for job in full.submitted] == messages(queue)
    assert full.info.details["submitted"] == len(full.submitted) == 3
    assert [job.image for job in full.unsubmitted] == [f"{IMAGE}?{number}" for number in range(3, len(taken))]
    assert 3 < len(taken) <= 500, "no more was taken than is sent at once; less where the images come slowly"
    for _ in range(3):
        take(queue)
    rest = full.unsubmitted[:3]
    assert [job.id for job in queue.submit_many(rest)] == [job.id for job in rest] == messages(queue)


def test_of_several_engines_the_first_that_is_full_ends_the_call(queue: OcrQueue) -> None:
    jobs = [Job(image=IMAGE, engine=engine) for engine in ("tesseract", "null") * 5]
    with pytest.raises(QueueFull) as refused:
        queue.submit_many(jobs)
    assert [job.id for job in refused.value.submitted] == [job.id for job in jobs[:6]]
    assert list(refused.value.unsubmitted) == jobs[6:]
    assert refused.value.info.details["engine"] == "tesseract"


def submit_what_fits(queue: OcrQueue, jobs: list[Job]) -> tuple[list[str], Sequence[Job]]:
    """The ids of those that are queued, and those that are not."""
    try:
        return [job.id for job in queue.submit_many(jobs)], []
    except QueueFull as full:
        return [job.id for job in full.submitted], full.unsubmitted


def test_there_is_no_hole_in_what_is_queued_while_workers_take(settings: WorkerSettings) -> None:
    """Submitters and takers at once: of each call its first jobs are queued, and never more wait than may."""
    settings = settings.model_copy(update={"max_queue_length": PerEngine(50)})
    done = threading.Event()
    taken: list[str] = []
    longest = 0

    def work(queue: OcrQueue) -> None:
        nonlocal longest
        while not done.is_set():
            longest = max(longest, registry_of(queue).client.zcard(registry_of(queue).keys.queue("ocr.tesseract", "")))
            if job_id := take(queue):
                taken.append(job_id)

    def submit(queue: OcrQueue) -> list[str]:
        queued = []
        for _ in range(10):
            jobs = [Job(image=IMAGE) for _ in range(400)]
            ids, refused = submit_what_fits(queue, jobs)
            assert ids + [job.id for job in refused] == [job.id for job in jobs]
            queued += ids
        return queued

    with OcrQueue(settings) as queue, ThreadPoolExecutor(4) as pool:
        worker = pool.submit(work, queue)
        try:
            queued = [job_id for ids in pool.map(submit, [queue] * 3) for job_id in ids]
        finally:
            done.set()
        worker.result()
        assert sorted(taken + messages(queue)) == sorted(queued)
        assert 50 < len(queued) < 12_000
        assert longest <= 50


def test_jobs_sent_by_name_count_and_are_not_refused(queue: OcrQueue) -> None:
    registry = WorkerRegistry(queue.settings, registry_of(queue).client)
    for number in range(5):
        message = envelope(f"job-{number}", kwargs={"job": {"image": IMAGE}})
        registry.client.lpush(registry.keys.foreign("ocr.tesseract"), json.dumps(message))
    assert taken_in(registry, lambda job: job) == {"taken_in": 5}
    with pytest.raises(QueueFull) as refused:
        queue.submit(IMAGE)
    assert refused.value.info.details["waiting"] == 5


# --- how fast jobs end ------------------------------------------------------------------------------------------------


def by_name(queue: OcrQueue) -> dict[str, QueueInfo]:
    return {lane.name: lane for lane in queue.queues()}


def test_the_rate_of_ended_jobs_is_shown_and_tells_when_to_come_back(queue: OcrQueue) -> None:
    queue.submit_many([IMAGE, IMAGE], priority="low")
    queue.submit(IMAGE)
    assert (by_name(queue)["ocr.tesseract"].jobs_per_minute, by_name(queue)["ocr.tesseract"].empty_in_s) == (None, None)
    began, _ = registry_of(queue).client.time()
    end(queue, 30)
    lanes = by_name(queue)
    looked, _ = registry_of(queue).client.time()
    rate = lanes["ocr.tesseract"].jobs_per_minute
    assert rate is not None
    # since the period began in which the first of them ended: 10 to 20 s, and what a busy machine adds
    assert 30 * 60 / max(looked + 1 - began // 10 * 10, 10) <= rate <= 180.1
    assert lanes["ocr.tesseract.low"].jobs_per_minute == pytest.approx(rate, rel=0.1)
    assert lanes["ocr.tesseract.high"].empty_in_s == 0
    assert lanes["ocr.tesseract"].empty_in_s == pytest.approx(60 / rate, rel=0.1)
    assert lanes["ocr.tesseract.low"].empty_in_s == pytest.approx(3 * 60 / rate, rel=0.1), "after the higher lanes"
    assert lanes["ocr.null"].jobs_per_minute is None
    assert (lanes["ocr.tesseract"].limit, lanes["ocr.null"].limit) == (3, 10)
    registry_of(queue).client.hset(registry_of(queue).keys.ended("tesseract"), str(int(time.time()) // 10 - 25), "1")
    with pytest.raises(QueueFull, match=r"room is expected in [56] s") as refused:
        queue.submit_many([IMAGE] * 300)
    assert refused.value.retry_after_s in {5, 6}, "for as many as the queue holds"
    with pytest.raises(QueueFull) as refused:
        queue.submit(IMAGE)
    assert refused.value.retry_after_s == 2


def test_old_counts_of_ended_jobs_go(queue: OcrQueue) -> None:
    key = registry_of(queue).keys.ended("tesseract")
    registry_of(queue).client.hset(key, "1", "999")
    end(queue, 1)
    assert list(registry_of(queue).client.hvals(key)) == [b"1"]
    assert 0 < registry_of(queue).client.pttl(key) <= 310_000


@pytest.mark.parametrize("minutes", [-5, 5])
def test_how_long_the_oldest_waits_is_by_the_clock_of_redis(queue: OcrQueue, minutes: int) -> None:
    job = Job(image=IMAGE, submitted_at=datetime.now(UTC) + timedelta(minutes=minutes))
    queue.submit(job)
    lane = by_name(queue)["ocr.tesseract"]
    assert lane.oldest_job == job.id
    assert lane.oldest_wait_s is not None
    # far less than the clocks differ by, and more than a busy machine takes
    assert 0 <= lane.oldest_wait_s < 100


@pytest.mark.parametrize("field", [{"id": 7}, {"id": ["x"]}, {"id": "../x"}, {"id": None, "submitted_at": {}}])
def test_a_hostile_message_does_not_hide_the_queues(queue: OcrQueue, field: dict[str, object]) -> None:
    message = envelope("x", kwargs={"job": {"image": IMAGE, "submitted_at": "soon", **field}})
    registry_of(queue).client.lpush(registry_of(queue).keys.foreign("ocr.tesseract"), json.dumps(message))
    lane = by_name(queue)["ocr.tesseract"]
    assert (lane.waiting, lane.foreign, lane.oldest_job, lane.oldest_wait_s) == (0, 1, None, None)


# --- waiting for room -------------------------------------------------------------------------------------------------


@pytest.fixture
def busy_worker(queue: OcrQueue) -> Iterator[list[str]]:
    """Takes a job every few milliseconds, which ends at once; the ids in their order."""
    done = threading.Event()
    taken: list[str] = []

    def work() -> None:
        while not done.wait(0.001):
            if job_id := take(queue):
                taken.append(job_id)
                end(queue, 1)

    seconds, _ = registry_of(queue).client.time()
    registry_of(queue).client.hset(registry_of(queue).keys.ended("tesseract"), str(seconds // 10 - 1), "6000")
    thread = threading.Thread(target=work)
    thread.start()
    yield taken
    done.set()
    thread.join()


def numbered(number: int, ahead: list[int], taken: list[str]) -> Iterator[str]:
    """Images, as they are asked for; `ahead` gets how many of those asked for were not yet taken by a worker."""
    for position in range(number):
        ahead.append(position + 1 - len(taken))
        yield f"{IMAGE}?{position}"


def test_whoever_waits_gets_in_and_in_order(settings: WorkerSettings, busy_worker: list[str]) -> None:
    ahead: list[int] = []
    with OcrQueue(settings.model_copy(update={"max_queue_length": PerEngine(200)})) as queue:
        submitted = [job.id for job in queue.submit_many(numbered(720, ahead, busy_worker), wait_for_room=200)]
    assert len(set(submitted)) == 720
    wait_until(lambda: len(busy_worker) == 720, 200, "all are taken")
    assert busy_worker == submitted
    assert max(ahead) <= 200 + 500, "no more was taken from the images than the queue holds and is sent at once"


async def test_whoever_waits_in_an_event_loop_gets_in_and_in_order(
    settings: WorkerSettings, busy_worker: list[str]
) -> None:
    ahead: list[int] = []
    async with AsyncOcrQueue(settings.model_copy(update={"max_queue_length": PerEngine(200)})) as queue:
        submitted = [job.id for job in await queue.submit_many(numbered(600, ahead, busy_worker), wait_for_room=None)]
        one = await queue.submit(IMAGE, wait_for_room=200)
    assert len(set(submitted)) == 600
    await asyncio.to_thread(wait_until, lambda: len(busy_worker) == 601, 200, "all are taken")
    assert busy_worker == [*submitted, one.id]
    assert max(ahead) <= 200 + 500


@pytest.fixture
def lone_queue(settings: WorkerSettings, tmp_path: Path) -> Iterator[OcrQueue]:
    """On a Redis that nobody else talks to."""
    with (
        redis_server(tmp_path) as server,
        OcrQueue(settings.model_copy(update={"redis_url": SecretStr(server.url)})) as queue,
    ):
        yield queue


def test_the_wait_ends_in_time_and_asks_seldom_and_little(
    lone_queue: OcrQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = lone_queue
    # a pause that is not cut short is of 30 s at least: longer than a busy machine holds anybody up
    monkeypatch.setattr("ocrqueue.core.admission._LONGEST_PAUSE_S", 60.0)

    def refused(wait_for_room: float) -> tuple[QueueFull, int, int]:
        """With how many calls and how many bytes it took."""
        client = registry_of(queue).client
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"], client.info("stats")["total_net_input_bytes"]
        with pytest.raises(QueueFull) as error:
            queue.submit_many([IMAGE] * 400, wait_for_room=wait_for_room)
        calls, received = (
            client.info("commandstats")["cmdstat_evalsha"]["calls"],
            client.info("stats")["total_net_input_bytes"],
        )
        return error.value, calls - before[0], received - before[1]

    first = queue.submit_many([IMAGE])
    at_once, _, bytes_at_once = refused(0)
    started = time.monotonic()
    patient, calls, bytes_in_all = refused(1.5)
    assert 1.5 <= time.monotonic() - started < 30
    assert calls <= 4
    assert bytes_in_all < 1.2 * bytes_at_once
    assert [job.id for job in [*first, *at_once.submitted, *patient.submitted]] == messages(queue)
    assert (len(at_once.unsubmitted), len(patient.unsubmitted)) == (398, 400)


async def test_asyncio_is_refused_alike(settings: WorkerSettings) -> None:
    async with AsyncOcrQueue(settings) as queue:
        with pytest.raises(QueueFull) as refused:
            await queue.submit_many([IMAGE] * 5)
        assert [type(job).__name__ for job in refused.value.submitted] == ["AsyncSubmittedJob"] * 3
        assert len(refused.value.unsubmitted) == refused.value.info.details["submitted"] - 1 == 2
        with pytest.raises(QueueFull):
            await queue.submit(IMAGE, wait_for_room=0.1)


# --- the command line -------------------------------------------------------------------------------------------------


def run(settings: WorkerSettings, *arguments: str, stdin: str = "", status: int = 0) -> Result:
    variables: dict[str, str | None] = {**environment(as_environment(settings))}
    result = CliRunner(env=variables).invoke(program, arguments, input=stdin, prog_name="ocrqueue")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
    return result


def test_the_command_tells_what_is_queued_and_when_to_come_back(settings: WorkerSettings, queue: OcrQueue) -> None:
    names = "".join(f"{IMAGE}?{number}\n" for number in range(5))
    done = run(settings, "submit", "-", stdin=names, status=8)
    assert done.stdout.split() == messages(queue)
    assert len(done.stdout.split()) == 3
    assert done.stderr.startswith("error: queue.full: tesseract's queue is full (3 of 3 jobs); none has ended ")
    # so many that one a second has ended even if the count's period of 10 s is over, and the machine is busy
    end(queue, 30)
    done = run(settings, "submit", IMAGE, "--json", status=8)
    details = json.loads(done.stdout)["error"]["details"]
    assert details == {"engine": "tesseract", "waiting": 3, "limit": 3, "retry_after_s": 1, "submitted": 0}
    table = run(settings, "queues")
    assert "tesseract's queue is full: 3 of 3 jobs" in table.stderr
    row = next(line.split() for line in table.stdout.splitlines() if line.startswith("ocr.tesseract "))
    assert (row[1], row[7]) == ("3", "s")


def test_the_command_waits_for_room(settings: WorkerSettings, queue: OcrQueue, busy_worker: list[str]) -> None:
    names = "".join(f"{IMAGE}?{number}\n" for number in range(8))
    done = run(settings, "submit", "-", "--wait-for-room", "inf", stdin=names)
    wait_until(lambda: len(busy_worker) == 8, 60, "all are taken")
    assert done.stdout.split() == busy_worker
    assert done.stderr.count("waiting for room: ") == 1
