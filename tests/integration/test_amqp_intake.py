"""What Celery apps sent by name to RabbitMQ becomes jobs: none is lost and none is there twice, whoever is killed."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import amqp
import pytest
from celery import Celery
from click.testing import CliRunner
from kombu import Connection, Exchange, Producer, Queue, pools

from ocrqueue.cli.program import program
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.amqp_intake import AmqpIntake
from ocrqueue.core.celery_messages import TASK
from ocrqueue.errors import BrokerUnavailable, IntakeDenied, IntakeUnavailable, NotReplicated, SettingsInvalid
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from tests.support.moves import LANE, LANES, all_parts, job, submit, succeeded, take
from tests.support.processes import as_environment, environment, free_port, wait_until
from tests.support.rabbitmq import RabbitServer, rabbitmq_server

JOB = {"image": "s3://b/k", "engine": "null"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as started:
        yield started


@pytest.fixture
def rabbit(server: RabbitServer) -> Iterator[RabbitServer]:
    """Without a message, and without a queue."""
    yield server
    # of one connection kombu remembers which queues it has declared, and apps share them
    pools.reset()
    with Connection(server.url) as connection, connection.channel() as channel:
        for name in (*LANES, "theirs", "dead"):
            channel.queue_delete(name)


@contextmanager
def celery_app(rabbit: RabbitServer, settings: WorkerSettings) -> Iterator[Celery]:
    """An app that has RabbitMQ as its broker, and hears of results by Redis."""
    with Celery(
        "theirs", broker=rabbit.url, backend=settings.redis_url.get_secret_value(), set_as_current=False
    ) as app:
        app.conf.result_backend_transport_options = {"global_keyprefix": settings.key_prefix}
        app.conf.broker_transport_options = {"confirm_publish": True}
        yield app


def as_it_is(job: Job) -> Job:
    return job


def taken_in(rabbit: RabbitServer, registry: WorkerRegistry, *queues: str, prepare: Any = as_it_is) -> dict[str, int]:
    intake = AmqpIntake(rabbit.url, registry, prepare, queues)
    intake.drain()
    return dict(intake.became)


def waiting(rabbit: RabbitServer, queue: str = LANE) -> int:
    with Connection(rabbit.url) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).message_count)


def publish(
    rabbit: RabbitServer, body: bytes, queue: str = LANE, arguments: dict[str, Any] | None = None, **properties: Any
) -> None:
    """Something that need not be one of Celery's messages. `arguments` are the queue's."""
    values = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
    with Connection(rabbit.url) as connection:
        target = Queue(queue, Exchange(""), queue, queue_arguments=arguments)
        Producer(connection).publish(body, routing_key=queue, declare=[target], retry=True, **values)


def test_what_an_app_sends_is_a_job_and_the_app_hears_of_its_end(
    rabbit: RabbitServer, registry: WorkerRegistry
) -> None:
    with celery_app(rabbit, registry.settings) as app:
        sent = [app.send_task(TASK, kwargs={"job": JOB}, queue=queue) for queue in LANES]
        assert taken_in(rabbit, registry) == {"taken_in": 3}
        assert {job.queue for job in registry.jobs([each.id for each in sent]) if job} == set(LANES)
        for _ in sent:
            (part,) = take(registry).parts
            given = Job.model_validate_json(part.job)
            registry.begin(part.hold, "worker@host", "null")
            registry.finish(part.hold, given, succeeded(part.hold), by_name=part.by_name)
        assert {each.get(timeout=60)["job_id"] for each in sent} == {each.id for each in sent}
    assert [waiting(rabbit, queue) for queue in LANES] == [0, 0, 0]


def test_an_id_that_waits_or_has_ended_is_not_a_second_job(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    with celery_app(rabbit, registry.settings) as app:
        for _ in range(2):
            app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id="x")
        assert taken_in(rabbit, registry) == {"taken_in": 1, "known": 1}
        registry.cancel("x")
        registry.client.delete(registry.keys.record("x"))
        app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id="x")
        assert taken_in(rabbit, registry) == {"known": 1}
    assert all_parts(registry) == []


def test_what_is_malformed_ends_once_with_its_code_and_what_is_no_message_is_rejected(
    rabbit: RabbitServer, registry: WorkerRegistry
) -> None:
    with Connection(rabbit.url) as connection, connection.channel() as channel:
        channel.queue_declare("dead", durable=True, auto_delete=False)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        channel.queue_declare(LANE, durable=True, auto_delete=False, arguments=arguments)
    with celery_app(rabbit, registry.settings) as app:
        for _ in range(2):
            app.amqp.queues.add(Queue(LANE, Exchange(""), LANE, no_declare=True))
            app.send_task(TASK, kwargs={"job": {"image": 5}}, queue=LANE, task_id="malformed")
            app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id="../x")
            app.send_task("os.system", args=["true"], queue=LANE)
        with Connection(rabbit.url) as connection:
            for number, body in enumerate((b"", b"\xff\xfe", b"[" * 100_000, b"x" * (2 << 20))):
                Producer(connection).publish(
                    body, routing_key=LANE, content_type="application/json", headers={"id": f"no-{number}"}
                )
    assert taken_in(rabbit, registry) == {"refused": 2, "known": 2, "dropped": 6}
    assert waiting(rabbit, "dead") == 6
    error = registry.status("malformed").error
    assert error is not None
    assert error.code == "job.malformed"
    answer = registry.client.get(f"{registry.settings.key_prefix}celery-task-meta-../x")
    assert json.loads(answer or b"{}")["status"] == "FAILURE"


@pytest.mark.parametrize(
    "headers",
    [
        {"task": TASK, "id": "x", "eta": 5},
        {"task": TASK, "id": "x", "timelimit": "long"},
        {"task": TASK, "id": 5},
        {"task": [TASK], "id": {"x": True}},
        {},
    ],
    ids=range(5),
)
def test_no_header_holds_up_the_others(rabbit: RabbitServer, registry: WorkerRegistry, headers: dict[str, Any]) -> None:
    body = json.dumps([[], {"job": JOB}, {}]).encode()
    publish(rabbit, body, headers=headers)
    publish(rabbit, body, headers={"task": TASK, "id": "the-last"})
    became = taken_in(rabbit, registry)
    assert became.pop("taken_in") == 1
    assert sum(became.values()) == 1
    assert registry.status("the-last").state == "queued"


@pytest.mark.parametrize(
    "field",
    [
        {"password": "\ud800"},
        {"options": {"x": "\ud800"}},
        {"schema_version": {"__type__": "decimal", "__value__": "sNaN"}},
    ],
    ids=str,
)
def test_a_value_that_no_script_can_read_is_told_to_its_sender(
    rabbit: RabbitServer, registry: WorkerRegistry, field: dict[str, Any]
) -> None:
    for task_id, asked in (("x", {**JOB, **field}), ("the-last", JOB)):
        publish(rabbit, json.dumps([[], {"job": asked}, {}]).encode(), headers={"task": TASK, "id": task_id})
    assert taken_in(rabbit, registry) == {"refused": 1, "taken_in": 1}
    assert registry.status("x").state == "failed"


def quorum(most_deliveries: int) -> dict[str, Any]:
    """Arguments of a queue that drops what has come back more often than that."""
    return {"x-queue-type": "quorum", "x-delivery-limit": most_deliveries}


def nested(depth: int) -> bytes:
    """A table of AMQP 0-9-1 in a table, and so on."""
    table = struct.pack(">I", 0)
    for _ in range(depth):
        field = b"\x01aF" + table
        table = struct.pack(">I", len(field)) + field
    return table


def table_of(field: bytes) -> bytes:
    return struct.pack(">I", len(field)) + field


@pytest.mark.parametrize(
    "headers",
    [
        nested(500),
        nested(3000),
        table_of(b"\x01aS\0\0\0\x02\xff\xfe"),
        table_of(b"\x02\xff\xfeS\0\0\0\x01a"),
        table_of(b"\x01aT" + struct.pack(">Q", 2**60)),
    ],
    ids=["nested", "nested deeper", "no text", "no text for a key", "a time beyond all times"],
)
def test_headers_that_cannot_be_decoded_hold_up_nobody(
    rabbit: RabbitServer, registry: WorkerRegistry, headers: bytes
) -> None:
    body = json.dumps([[], {"job": JOB}, {}]).encode()
    hostile = amqp.Message(b"{}")
    only_headers = 1 << 13
    hostile._serialize_properties = lambda: struct.pack(">H", only_headers) + headers
    with Connection(rabbit.url) as connection, connection.channel() as channel:
        for number in range(6):
            # with a connection that is given up, what had been sent ahead on it comes back: only so often
            publish(rabbit, body, arguments=quorum(3), headers={"task": TASK, "id": f"good-{number}"})
            channel.basic_publish(hostile, exchange="", routing_key=LANE)
        # the server has them once it answers
        channel.queue_declare(LANE, passive=True)
    assert taken_in(rabbit, registry) == {"taken_in": 6, "dropped": 6}
    assert waiting(rabbit) == 0
    assert registry.status("good-5").state == "queued"


def test_while_redis_takes_nothing_the_message_stays(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    with celery_app(rabbit, registry.settings) as app:
        app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id="x")
    registry.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnavailable, match="memory limit"):
            taken_in(rabbit, registry)
    finally:
        registry.client.config_set("maxmemory", 0)
    assert taken_in(rabbit, registry) == {"taken_in": 1}
    assert all_parts(registry) == ["x"]


def test_who_goes_on_waits_for_redis_and_lets_nothing_come_back_meanwhile(
    rabbit: RabbitServer, registry: WorkerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps([[], {"job": JOB}, {}]).encode()
    for number in range(3):
        publish(rabbit, body, arguments=quorum(1), headers={"task": TASK, "id": f"good-{number}"})
    intake = AmqpIntake(rabbit.url, registry, as_it_is)
    thread = threading.Thread(target=intake.run)
    registry.client.config_set("maxmemory", 1)
    try:
        thread.start()
        wait_until(lambda: caplog.text.count("broker.unavailable") > 3, 60, "it says so")
    finally:
        registry.client.config_set("maxmemory", 0)
    wait_until(lambda: intake.became["taken_in"] == 3, 60, "it goes on")
    intake.stop()
    thread.join(60)
    assert (thread.is_alive(), waiting(rabbit)) == (False, 0)


def test_a_key_of_another_type_in_the_place_of_a_record_holds_up_nobody(
    rabbit: RabbitServer, registry: WorkerRegistry
) -> None:
    registry.client.lpush(registry.keys.record("hostile"), "x")
    with celery_app(rabbit, registry.settings) as app:
        app.amqp.queues.add(Queue(LANE, Exchange(""), LANE))
        for task_id in ("hostile", "good"):
            app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id=task_id)
    became = taken_in(rabbit, registry)
    assert became.pop("taken_in") == 1
    assert sum(became.values()) == 1
    assert (registry.status("good").state, waiting(rabbit)) == ("queued", 0)
    registry.client.delete(registry.keys.record("hostile"))


def test_a_quorum_queue_is_taken_from_too(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    with Connection(rabbit.url) as connection, connection.channel() as channel:
        channel.queue_declare(LANE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        body = json.dumps([[], {"job": JOB}, {}])
        headers = {"task": TASK, "id": "x"}
        Producer(channel).publish(body, routing_key=LANE, content_type="application/json", headers=headers)
    assert taken_in(rabbit, registry) == {"taken_in": 1}
    assert all_parts(registry) == ["x"]


def test_what_too_few_replicas_have_is_not_acknowledged(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    with celery_app(rabbit, registry.settings) as app:
        app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id="x")
    more = {"submit_replicas": 1, "submit_replicas_timeout_s": 0.05}
    with closing(WorkerRegistry(registry.settings.model_copy(update=more))) as careful:
        for _ in range(2):
            with pytest.raises(NotReplicated):
                taken_in(rabbit, careful)
    assert taken_in(rabbit, registry) == {"known": 1}
    assert all_parts(registry) == ["x"]


def test_only_queues_that_are_named_are_taken_from(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    with celery_app(rabbit, registry.settings) as app:
        app.send_task(TASK, kwargs={"job": JOB}, queue=LANE)
        app.send_task(TASK, kwargs={"job": JOB}, queue="theirs", task_id="x")
    assert taken_in(rabbit, registry, "theirs", "nonesuch") == {"taken_in": 1}
    assert all_parts(registry) == ["x"]
    assert waiting(rabbit) == 1


def test_a_queue_that_comes_into_being_later_is_found(
    rabbit: RabbitServer, registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrqueue.core.amqp_intake._LOOK_S", 0.1)
    intake = AmqpIntake(rabbit.url, registry, as_it_is)
    thread = threading.Thread(target=intake.run)
    thread.start()
    try:
        with celery_app(rabbit, registry.settings) as app:
            app.send_task(TASK, kwargs={"job": JOB}, queue=LANE)
        wait_until(lambda: intake.became["taken_in"], 60, "it is taken in")
    finally:
        intake.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_who_is_not_let_in_and_where_nobody_is(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    for url, error in (
        (rabbit.url.replace("guest@", "wrong@"), IntakeDenied),
        (f"{rabbit.url}nonesuch", IntakeDenied),
        (f"amqp://guest:secret@127.0.0.1:{free_port()}//", IntakeUnavailable),
    ):
        with pytest.raises(error) as caught:
            AmqpIntake(url, registry, as_it_is).drain()
        assert "guest" not in str(caught.value)
    for url in ("redis://host", "amqp://", "amqp://host:no-port", "amqp+x://host"):
        with pytest.raises(SettingsInvalid):
            AmqpIntake(url, registry, as_it_is)


def test_the_command(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    settings = environment(as_environment(registry.settings)) | {"OCRQUEUE_INTAKE_URL": rabbit.url}
    with celery_app(rabbit, registry.settings) as app:
        for _ in range(3):
            app.send_task(TASK, kwargs={"job": JOB}, queue=LANE)
    done = CliRunner().invoke(program, ["intake", "--once"], env=settings)
    assert (done.exit_code, done.stdout) == (0, "3 messages  taken in\n")
    done = CliRunner().invoke(program, ["intake", "--once", "--json"], env=settings)
    assert (done.exit_code, json.loads(done.stdout)) == (0, {})
    assert CliRunner().invoke(program, ["intake"], env={"OCRQUEUE_INTAKE_URL": ""}).exit_code == 2
    done = CliRunner().invoke(program, ["intake", "--once", rabbit.url.replace("guest@", "wrong@")], env=settings)
    assert (done.exit_code, "intake.denied" in done.stderr) == (5, True)


# --- killed midway ---------------------------------------------------------------------------------------------------


@contextmanager
def intake_process(rabbit: RabbitServer, settings: WorkerSettings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ocrqueue.cli", "intake", rabbit.url],
            env=environment(as_environment(settings)),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Reading:
    """Ends every job that comes, in a thread, as workers would; counts how often each has begun."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.begun: Counter[str] = Counter()
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Reading:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        with closing(WorkerRegistry(self._settings)) as registry:
            while not self._stop.is_set():
                parts = take(registry, 100).parts
                for part in parts:
                    assert registry.begin(part.hold, "worker@host", "null").verdict == "run"
                    self.begun[part.hold.job_id] += 1
                    registry.finish(part.hold, Job.model_validate_json(part.job), succeeded(part.hold))
                if not parts:
                    time.sleep(0.01)


def test_none_is_lost_and_none_is_there_twice_whoever_is_killed(
    rabbit: RabbitServer, registry: WorkerRegistry, tmp_path: Path
) -> None:
    """Three take in beside each other: one is killed, the server is killed and comes back, a fourth begins."""
    count, log = 3000, tmp_path / "intake.log"
    ids = [f"job-{number}" for number in range(count)]
    with celery_app(rabbit, registry.settings) as app, app.producer_pool.acquire(block=True) as producer:
        for task_id in ids:
            app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id=task_id, producer=producer)
    with (
        Reading(registry.settings) as reading,
        intake_process(rabbit, registry.settings, log) as first,
        intake_process(rabbit, registry.settings, log) as second,
        intake_process(rabbit, registry.settings, log),
    ):
        wait_until(lambda: len(reading.begun) > 100, 100, f"jobs come: {log.read_text()}")
        first.kill()
        before = len(reading.begun)
        wait_until(lambda: len(reading.begun) > before + 200, 100, "the others go on")
        rabbit.kill()
        assert len(reading.begun) < count, "there was something left to lose"
        rabbit.start()
        with intake_process(rabbit, registry.settings, log):
            wait_until(lambda: len(reading.begun) == count, 200, f"all come: {log.read_text()}")
            wait_until(lambda: waiting(rabbit) == 0, 60, "all are acknowledged")
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    assert waiting(rabbit) == 0, "nothing went back that was not acknowledged"
    assert reading.begun == Counter(ids), "each once"
    assert "messages  taken in" in log.read_text()


def test_who_is_told_to_stop_gives_back_what_it_has_not_taken_in(
    rabbit: RabbitServer, registry: WorkerRegistry
) -> None:
    with celery_app(rabbit, registry.settings) as app:
        for number in range(20):
            app.send_task(TASK, kwargs={"job": JOB}, queue=LANE, task_id=f"job-{number}")

    def stop_at_the_fifth(job: Job) -> Job:
        if job.id == "job-4":
            intake.stop()
        return job

    intake = AmqpIntake(rabbit.url, registry, stop_at_the_fifth)
    intake.run()
    assert dict(intake.became) == {"taken_in": 5}
    assert taken_in(rabbit, registry) == {"taken_in": 15}
    assert sorted(all_parts(registry)) == sorted(f"job-{number}" for number in range(20))


def test_what_was_submitted_otherwise_is_no_second_job(rabbit: RabbitServer, registry: WorkerRegistry) -> None:
    submit(registry, job(id="x"))
    with celery_app(rabbit, registry.settings) as app:
        app.send_task(TASK, kwargs={"job": {**JOB, "id": "x"}}, queue=LANE)
    assert taken_in(rabbit, registry) == {"known": 1}
