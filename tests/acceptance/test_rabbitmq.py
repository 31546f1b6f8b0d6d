"""RabbitMQ as the broker: a real node, real workers; what is killed, frozen or malformed, and that nothing is lost.

All of tests/acceptance can be run with it as well: `./run rabbitmq`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import amqp
import pytest
from pydantic import SecretStr

from ocrqueue import Job, OcrQueue
from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import outbox
from ocrqueue.core.outbox import Outbox
from ocrqueue.errors import BrokerUnavailable, QueueFull
from ocrqueue.settings import Settings
from tests.rabbitmq import RabbitMQServer, rabbitmq_server
from tests.support.brokers import celery_app, messages, name_for_celery, replies
from tests.support.gates import Gates, page, with_gated
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment, wait_until, worker
from tests.support.standstill import time_lost

HELLO = png(text_picture("Hello 42"))
GATED = ("--engine", "gated", "-c", "1")
NULL = ("--engine", "null", "-c", "1")


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def settings(settings: Settings, rabbitmq: RabbitMQServer) -> Settings:
    values = {name: getattr(settings, name) for name in ("redis_url", "key_prefix", "storage", "worker_heartbeat_s")}
    return with_gated(Settings(**values, broker_url=rabbitmq.url, redis_timeout_s=2))


@pytest.fixture
def queue(settings: Settings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue


def test_jobs_go_through_rabbitmq_and_are_read(settings: Settings, queue: OcrQueue, tmp_path: Path) -> None:
    first = queue.submit(HELLO)
    with messages(queue, "ocr.tesseract") as waiting:
        assert waiting.count() == 1, "it is there at once"
    with worker(as_environment(settings), tmp_path, "--engine", "tesseract"):
        assert first.result(100).text == "Hello 42"
        several = queue.submit_many([png(text_picture(f"page {number}")) for number in range(1, 7)], group=3)
        assert [job.result(100).text for job in several] == [f"page {number}" for number in range(1, 7)]

        async def from_an_event_loop() -> str:
            async with AsyncOcrQueue(settings) as from_loop:
                job = await from_loop.submit(png(text_picture("async")))
                return (await job.result(100)).text

        assert asyncio.run(from_an_event_loop()) == "async"
        retried = queue.submit(settings.storage + "/nothing-there.png")
        assert retried.wait(100).state == "failed"
    client, keys = queue.registry.client, queue.registry.keys
    assert not client.exists(keys.queue("ocr.tesseract"), keys.forwarding(), keys.queue("unacked"))


def test_a_retry_waits_in_redis_and_comes_back_though_a_node_is_away(
    settings: Settings, rabbitmq: RabbitMQServer, tmp_path: Path
) -> None:
    cluster = settings.model_copy(update={"broker_url": SecretStr(f"amqp://127.0.0.1:1;{rabbitmq.url}")})
    hasty = as_environment(cluster) | {"retry_backoff_s": 0.3, "retry_limit": 2}
    with worker(hasty, tmp_path, *NULL), OcrQueue(cluster) as queue:
        status = queue.submit(HELLO, engine="null", options={"fault": "retryable"}).wait(100)
        assert (status.state, status.attempts) == ("failed", 3)


def test_another_apps_celery_submits_and_hears_of_the_end(settings: Settings, queue: OcrQueue, tmp_path: Path) -> None:
    image = queue.storage.put("inputs/hello.png", HELLO, "image/png")
    job = {"image": image, "engine": "null", "reply_to": f"{settings.key_prefix}replies".replace(":", "-")}
    with (
        celery_app(settings) as theirs,
        replies(queue, job["reply_to"]) as told,
        worker(as_environment(settings), tmp_path, *NULL),
    ):
        sent = theirs.send_task("ocrqueue.recognize", kwargs={"job": job}, queue=name_for_celery(settings, "ocr.null"))
        assert sent.get(timeout=100)["state"] == "succeeded"
        wait_until(lambda: told.count() == 1, 60, "the reply")
        assert theirs.control.inspect(timeout=60, limit=1).ping(), "broadcasts reach it"
        sent.forget()


def test_who_kills_a_worker_gives_its_job_to_another_at_once(
    settings: Settings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    """Not when Redis's visibility timeout is over, nor when the reconciler finds it."""
    patient = as_environment(settings) | {"lost_after_s": 3, "unqueued_after_s": 60}
    with worker(patient, tmp_path, *GATED) as killed:
        job = queue.submit(page(60), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "it runs")
        os.killpg(killed.pid, signal.SIGKILL)
    gates.open([60])
    with worker(patient, tmp_path, *GATED):
        status = job.wait(100)
        assert (status.state, status.attempts) == ("succeeded", 2)


def test_a_worker_that_stops_hands_back_what_it_has(settings: Settings, queue: OcrQueue, tmp_path: Path) -> None:
    hasty = as_environment(settings) | {"shutdown_grace_s": 1}
    with worker(hasty, tmp_path, *NULL) as stopped:
        job = queue.submit(HELLO, engine="null", options={"delay_s": 100})
        wait_until(lambda: job.status().state == "running", 60, "it runs")
        stopped.process.send_signal(signal.SIGTERM)
        assert stopped.process.wait(60) == 0
    assert job.status().state == "queued"
    with messages(queue, "ocr.null") as waiting:
        wait_until(lambda: waiting.count() == 1, 60, "its message is back")


def test_rabbitmq_killed_and_back_loses_nothing(
    settings: Settings, queue: OcrQueue, rabbitmq: RabbitMQServer, tmp_path: Path
) -> None:
    with worker(as_environment(settings), tmp_path, *NULL) as started:
        running = queue.submit(HELLO, engine="null", options={"delay_s": 4})
        waiting = [queue.submit(HELLO, engine="null") for _ in range(3)]
        wait_until(lambda: running.status().state == "running", 60, "it runs")
        rabbitmq.kill()
        during = [queue.submit(HELLO, engine="null") for _ in range(3)]
        assert {job.status().state for job in during} == {"queued"}, "taken all the same"
        rabbitmq.start()
        ends = [job.wait(60) for job in (running, *waiting, *during)]
        assert [status.state for status in ends] == ["succeeded"] * 7
        assert ends[0].attempts == 1, "what ran when it went was read on, and once"
        assert started.alive()


def test_a_channel_that_rabbitmq_closes_is_made_anew_and_what_runs_is_not_begun_twice(
    settings: Settings, queue: OcrQueue, rabbitmq: RabbitMQServer, tmp_path: Path, gates: Gates
) -> None:
    """As for a queue that is deleted, or a job that takes longer than RabbitMQ waits for an acknowledgement."""
    with worker(as_environment(settings), tmp_path, "--engine", "gated", "-c", "2") as started:
        running = queue.submit(page(60), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "it runs")
        with rabbitmq.connection() as connection:
            channel = connection.channel()

            def asked_for_what_is_deleted() -> bool:
                # again and again: who notes its length declares it
                channel.queue_delete(queue.registry.keys.queue("ocr.gated"))
                return "NOT_FOUND" in started.log_text()

            wait_until(asked_for_what_is_deleted, 60, "RabbitMQ has closed a channel")
        gates.open([60, 61])
        assert queue.submit(page(61), **gates.fields).wait(100).state == "succeeded"
        status = running.wait(60)
        assert (status.state, status.attempts) == ("succeeded", 1)
        assert started.alive()


def test_a_worker_does_not_start_with_a_queue_that_is_another(
    settings: Settings, queue: OcrQueue, rabbitmq: RabbitMQServer, tmp_path: Path
) -> None:
    name = queue.registry.keys.queue("ocr.null")
    with rabbitmq.connection() as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True, auto_delete=False)
        ended = subprocess.run(
            [sys.executable, "-m", "ocrqueue_worker", *NULL],
            env=environment(as_environment(settings)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        channel.queue_delete(name)
    assert ended.returncode != 0
    assert "a queue of that name that is another" in ended.stdout + ended.stderr


def test_a_rabbitmq_that_does_not_answer_stops_neither_apps_nor_workers(
    settings: Settings, queue: OcrQueue, rabbitmq: RabbitMQServer, tmp_path: Path
) -> None:
    with worker(as_environment(settings), tmp_path, *NULL) as started:
        assert queue.submit(HELLO, engine="null").wait(100).state == "succeeded"
        rabbitmq.signal(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with time_lost() as lost_s:
                jobs = [queue.submit(HELLO, engine="null") for _ in range(3)]
            took_s = time.monotonic() - begun - lost_s()
            assert took_s < 4 * settings.redis_timeout_s, "it is not waited for each time"
            time.sleep(2 * settings.redis_timeout_s)
        finally:
            rabbitmq.signal(signal.SIGCONT)
        assert [job.wait(60).state for job in jobs] == ["succeeded"] * 3
        assert started.alive()


def test_what_is_no_message_of_ours_is_dropped_and_the_next_is_read(
    settings: Settings, queue: OcrQueue, rabbitmq: RabbitMQServer, tmp_path: Path
) -> None:
    name = queue.registry.keys.queue("ocr.null")
    hostile = [
        amqp.Message(b"\xff\xfe nothing"),
        amqp.Message(b"[[], {}, {}]", content_type="application/x-python-serialize", content_encoding="binary"),
        amqp.Message(
            b"[]", content_type="application/json", application_headers={"task": "os.system", "id": "x" * 300}
        ),
        amqp.Message(b"[" * 100_000, content_type="application/json", content_encoding="utf-8"),
        amqp.Message(b"x" * 3_000_000, content_type="application/json"),
    ]
    with rabbitmq.connection() as connection, messages(queue, "ocr.null"):
        channel = connection.channel()
        for message in hostile:
            channel.basic_publish(message, exchange="", routing_key=name)
        job = queue.submit(HELLO, engine="null")
        with worker(as_environment(settings), tmp_path, *NULL) as started:
            assert job.wait(100).state == "succeeded"
            assert started.alive()
            assert started.log_text().count("dropped what is no message") == len(hostile)
            # the job's own is acknowledged after its end, or goes back if the worker is told to end before
            declared = channel.queue_declare(name, passive=True)
            assert declared.message_count == 0


def test_a_full_queue_refuses_and_what_waits_is_seen(settings: Settings, tmp_path: Path) -> None:
    small = Settings(**{**settings.model_dump(), "max_queue_length": "5"})
    with OcrQueue(small) as queue:
        image = queue.submit(HELLO, engine="null", priority="high").status().image
        jobs = [queue.submit(image, engine="null", cache=False) for _ in range(4)]
        with pytest.raises(QueueFull, match="5 jobs wait for null, and 5 may"):
            queue.submit(image, engine="null")
        lanes = {lane.lane: lane for lane in queue.queues() if lane.engine == "null"}
        assert {name: lane.waiting for name, lane in lanes.items()} == {"high": 1, "normal": 4, "low": 0}
        assert lanes["normal"].oldest_job == jobs[0].id
        assert lanes["normal"].oldest_wait_s is not None
        with worker(as_environment(small), tmp_path, *NULL):
            assert [job.wait(100).state for job in jobs] == ["succeeded"] * 4
            wait_until(lambda: not any(lane.waiting for lane in queue.queues()), 60, "the lengths are up to date")
            assert queue.submit(image, engine="null").wait(100).state == "succeeded"


def test_two_workers_share_and_none_holds_what_the_other_could_read(
    settings: Settings, queue: OcrQueue, tmp_path: Path, gates: Gates
) -> None:
    gates.open(range(61, 67))
    with worker(as_environment(settings), tmp_path, *GATED), worker(as_environment(settings), tmp_path, *GATED):
        long = queue.submit(page(60), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "one of them is busy")
        short = [queue.submit(page(width), **gates.fields) for width in range(61, 67)]
        assert [job.wait(60).state for job in short] == ["succeeded"] * 6
        assert long.status().state == "running", "all went to the other"
        gates.open([60])
        assert long.wait(100).state == "succeeded"


# --- on the way from Redis to RabbitMQ --------------------------------------------------------------------------------


def test_what_a_process_had_taken_out_that_died_is_brought_by_another(
    settings: Settings, queue: OcrQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Job(image="s3://b/k", engine="null") for _ in range(3)]
    in_redis = Settings(**{**settings.model_dump(), "broker_url": None})
    with OcrQueue(in_redis) as theirs:
        list(theirs.registry.submit(jobs))
    with closing(Outbox(settings)) as dying:
        assert len(dying._take([queue.registry.keys.queue("ocr.null")])) == 3
    with messages(queue, "ocr.null") as waiting:
        assert queue.registry.outbox is not None
        assert queue.registry.outbox.forward(["ocr.null"]) == 0, "it may be at it still"
        monkeypatch.setattr(outbox, "_LEFT_BEHIND_S", -1)
        assert queue.registry.outbox.forward(["ocr.null"]) == 3
        assert [waiting.next_job() for _ in jobs] == [job.id for job in jobs], "in their order"
    assert not queue.registry.client.exists(queue.registry.keys.forwarding())


def test_a_queue_that_is_another_is_said_and_the_jobs_stay_in_redis(
    settings: Settings, queue: OcrQueue, rabbitmq: RabbitMQServer
) -> None:
    registry, name = queue.registry, queue.registry.keys.queue("ocr.null")
    with rabbitmq.connection() as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True, auto_delete=False)
        job = queue.submit(HELLO, engine="null")
        assert registry.client.llen(name) == 1
        with closing(Outbox(settings)) as another:
            with pytest.raises(BrokerUnavailable, match=f"queue of that name that is another.*{name}"):
                another.forward(["ocr.null"])
            with pytest.raises(BrokerUnavailable, match="a moment ago"):
                another.forward(["ocr.null"])
        channel.queue_delete(name)
    with closing(Outbox(settings)) as another, messages(queue, "ocr.null") as waiting:
        assert another.forward(["ocr.null"]) == 1
        assert waiting.next_job() == job.id


def test_a_queue_that_is_deleted_is_declared_again(settings: Settings, rabbitmq: RabbitMQServer) -> None:
    with OcrQueue(settings) as queue, rabbitmq.connection() as connection:
        queue.submit(HELLO, engine="null")
        connection.channel().queue_delete(queue.registry.keys.queue("ocr.null"))
        job = queue.submit(HELLO, engine="null")
        with messages(queue, "ocr.null") as waiting:
            assert waiting.next_job() == job.id


def test_what_the_settings_have_wrong_is_said(settings: Settings, rabbitmq: RabbitMQServer) -> None:
    for url, said in (
        (rabbitmq.url.replace(rabbitmq.password, "wrong"), "refuses the user"),
        (rabbitmq.url.removesuffix("//") + "/nowhere", "no such virtual host"),
        (rabbitmq.url.replace(str(rabbitmq.port), "1"), "does not answer"),
    ):
        elsewhere = settings.model_copy(update={"broker_url": SecretStr(url)})
        with closing(Outbox(elsewhere)) as there, pytest.raises(BrokerUnavailable, match=said):
            there.lengths(["ocr.null"])
