"""Redis behind Sentinels under load: whatever becomes of the primary, all go on by themselves with the next one."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from celery import Celery

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.errors import BrokerUnavailable, JobUnknown, NotReplicated
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.certificates import make_certificate
from tests.support.load import Load, Polling
from tests.support.pictures import png, text_picture
from tests.support.processes import Worker, as_environment, environment, wait_until, worker
from tests.support.proxy import proxy
from tests.support.sentinels import DATABASE, NAME, SECRETS, USER, WATCHER, Node, Replicated, replicated_redis

HELLO = png(text_picture("Hello 42"))
PATIENT_S: Final = 180
SOME: Final = 30
"""Jobs that have ended before the primary is lost, and after."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Replicated]:
    with replicated_redis(tmp_path) as made:
        yield made


@pytest.fixture
def settings(servers: Replicated, tmp_path: Path) -> WorkerSettings:
    return with_storage(servers.url, tmp_path)


def with_storage(url: str, folder: Path, **more: Any) -> WorkerSettings:
    (folder / "storage").mkdir()
    (folder / "hello.png").write_bytes(HELLO)
    return load_worker_settings(
        redis_url=url,
        storage=f"file://{folder}/storage",
        source_file_roots=str(folder),
        worker_heartbeat_s=0.5,
        lost_after_s=4,
        **more,
    )


@contextmanager
def command(settings: WorkerSettings, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Of the command line, for as long as the block."""
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ocrqueue.cli", *arguments],
            env=environment(as_environment(settings)),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        yield process
        assert process.poll() is None, (folder / f"{arguments[0]}.log").read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "lose_primary", [Replicated.kill_primary, Replicated.ask_for_failover, Replicated.freeze_primary]
)
def test_under_load_all_go_on_with_the_next_primary_and_nothing_that_was_accepted_is_lost(
    servers: Replicated, settings: WorkerSettings, tmp_path: Path, lose_primary: Callable[[Replicated], Node]
) -> None:
    settings = settings.model_copy(update={"submit_replicas": 1})
    load = Load(settings, (tmp_path / "hello.png").as_uri(), PATIENT_S)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(worker(as_environment(settings), tmp_path, "-e", "null", "-c", "1")) for _ in range(2)
        ]
        stack.enter_context(command(settings, tmp_path, "reconcile", "--loop"))
        children = [each.running_children() for each in workers]
        with load.running():
            wait_until(lambda: len(load.told) >= SOME, 120, "jobs have ended")
            before = lose_primary(servers)
            servers.wait_for_failover(before)
            if before.process is None:
                before.start()
            servers.wait_for_replicas()
            then = len(load.told)
            wait_until(lambda: len(load.told) >= then + SOME, 120, "more jobs have ended")
        assert load.told == dict.fromkeys(load.accepted, "succeeded"), load.refusals
        assert [each.running_children() for each in workers] == children
        with OcrQueue(settings) as queue:
            readers: set[str | None] = set()

            def all_have_read() -> bool:
                jobs = queue.submit_many(
                    [HELLO] * 4, engine="null", crops="none", cache=False, options={"delay_s": 0.5}
                )
                ends = [status for _, status in queue.watch(jobs, PATIENT_S)]
                assert {status.state for status in ends} == {"succeeded"}
                readers.update(status.worker for status in ends)
                return len(readers) == len(workers)

            wait_until(all_have_read, PATIENT_S, "every worker takes jobs again")
            assert check(registry_of(queue)) == []


def test_without_replicas_what_they_had_not_is_unknown_and_may_be_submitted_again(
    servers: Replicated, settings: WorkerSettings, tmp_path: Path
) -> None:
    image = (tmp_path / "hello.png").as_uri()
    asking = settings.model_copy(update={"submit_replicas": 1})
    with ExitStack() as stack:
        queue, careful = stack.enter_context(OcrQueue(settings)), stack.enter_context(OcrQueue(asking))
        pool = stack.enter_context(ThreadPoolExecutor(20))
        carried = queue.submit_many([image] * 10, engine="null")
        servers.wait_for_replicas()
        servers.cut_replication()
        lost = [Job(image=image, engine="null") for _ in range(5)]
        with pytest.raises(NotReplicated) as not_replicated:
            careful.submit_many(lost)
        assert [job.id for job in not_replicated.value.submitted] == [job.id for job in lost]
        assert not_replicated.value.info.details == {"wanted": 1, "replicas": 0}
        with pytest.raises(NotReplicated) as not_replicated:
            asyncio.run(submit_async(asking, lost))
        assert [job.id for job in not_replicated.value.submitted] == [job.id for job in lost]
        assert [queue.job(job.id).status().state for job in lost] == ["queued"] * 5
        waits = {job.id: pool.submit(queue.job(job.id).wait, PATIENT_S) for job in (*carried, *lost)}
        servers.wait_for_failover(servers.kill_primary())
        for job in lost:
            assert isinstance(waits.pop(job.id).exception(PATIENT_S), JobUnknown)
        # the same again: they are jobs, and nothing is there twice
        with pytest.raises(NotReplicated):
            careful.submit_many(lost)
        waits |= {job.id: pool.submit(queue.job(job.id).wait, PATIENT_S) for job in lost}
        assert sum(lane.waiting for lane in queue.queues()) == 15
        with worker(as_environment(settings), tmp_path, "-e", "null", "-c", "1"):
            assert {wait.result(PATIENT_S).state for wait in waits.values()} == {"succeeded"}
            assert check(registry_of(queue)) == []


async def submit_async(settings: WorkerSettings, jobs: list[Job]) -> None:
    async with AsyncOcrQueue(settings) as queue:
        await queue.submit_many(jobs)


def test_who_asks_a_frozen_primary_does_not_go_on_with_it_when_it_wakes_up(
    servers: Replicated, settings: WorkerSettings
) -> None:
    """It knows nothing of what the next one was told, for some ten seconds until a Sentinel tells it."""
    with OcrQueue(settings) as queue:
        polling = Polling(settings, queue.submit("s3://bucket/before.png").id)
        servers.wait_for_replicas()
        with polling.running():
            wait_until(lambda: polling.answers > 100, 60, "all have connections")
            primary = servers.primary()
            primary.send(signal.SIGSTOP)
            servers.wait_for_failover(primary)
            after = Job(image="s3://bucket/after.png")
            wait_until(lambda: submitted(queue, after), 60, "the next primary has a job")
            polling.job_id = after.id
            primary.send(signal.SIGCONT)
            servers.wait_for_replicas()
            before = polling.answers
            wait_until(lambda: polling.answers > before + 100, 60, "all have connections")
    assert polling.wrong == []


def submitted(queue: OcrQueue, job: Job) -> bool:
    try:
        return bool(queue.submit(job))
    except BrokerUnavailable:
        return False


def test_all_of_it_encrypted_and_with_passwords_of_servers_and_sentinels(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with replicated_redis(tmp_path, certificate) as servers:
        settings = with_storage(servers.url, tmp_path, submit_replicas=1)
        variables = environment(as_environment(settings))
        with (
            worker(as_environment(settings), tmp_path, "-e", "null", "-c", "1") as running,
            OcrQueue(settings) as queue,
        ):
            job = {"image": (tmp_path / "hello.png").as_uri(), "engine": "null"}
            theirs = celery_app(servers, str(certificate.authority))

            def everything_works() -> None:
                assert queue.submit(HELLO, engine="null").wait(PATIENT_S).state == "succeeded"
                sent = theirs.send_task("ocrqueue.recognize", kwargs={"job": job}, queue="ocr.null")
                assert sent.get(timeout=PATIENT_S)["pages"] == 1
                sent.forget()
                # a new one: to a Celery app, a pooled one that was lost meanwhile is an error of one call
                with theirs.connection_for_write() as connection:
                    wait_until(
                        lambda: theirs.control.ping(timeout=2, connection=connection), PATIENT_S, "a worker answers"
                    )

            everything_works()
            stats = json.dumps(theirs.control.inspect(timeout=10).stats())
            conf = json.dumps(theirs.control.inspect(timeout=10).conf(with_defaults=True), default=repr)
            servers.wait_for_replicas()
            servers.wait_for_failover(servers.kill_primary())
            next(each for each in servers.servers if each.process is None).start()
            servers.wait_for_replicas()
            everything_works()
            shown = [
                subprocess.run(
                    [sys.executable, "-m", "ocrqueue.cli", *arguments],
                    env=variables,
                    check=True,
                    capture_output=True,
                    text=True,
                    cwd=tmp_path,
                ).stdout
                for arguments in (["config"], ["top", "--once"], ["metrics", "--once"], ["check"])
            ]
            assert "ocrqueue_up 1.0" in shown[2]
            assert check(registry_of(queue)) == []
            theirs.close()
    for secret in (*SECRETS.values(), "secret%"):
        assert secret not in "".join((running.log_text(), stats, conf, *shown))


def celery_app(servers: Replicated, authority: str) -> Celery:
    """As docs/celery.md says."""
    quoted = quote(SECRETS["server"], safe="")
    url = ";".join(f"sentinel://{USER}:{quoted}@127.0.0.1:{each.port}/{DATABASE}" for each in servers.sentinels)
    tls = {"ssl_cert_reqs": "required", "ssl_ca_certs": authority}
    options = {
        "master_name": NAME,
        "sentinel_kwargs": {"username": WATCHER, "password": SECRETS["watcher"], "ssl": True, **tls},
    }
    app = Celery("theirs", broker=url, backend=url, set_as_current=False)
    app.conf.update(broker_use_ssl=tls, redis_backend_use_ssl=tls)
    app.conf.broker_transport_options = app.conf.result_backend_transport_options = options
    return app


def test_a_name_that_resolves_anew_is_followed_by_who_holds_connections_to_the_server_of_before(
    servers: Replicated, tmp_path: Path
) -> None:
    """Without Sentinels: another hand promotes the replica, and lets the name point to it."""
    before, after = servers.primary(), servers.replica()
    for each in servers.sentinels:
        each.kill()
    with proxy(before.port) as name:
        quoted = quote(SECRETS["server"], safe="")
        url = f"redis://{USER}:{quoted}@127.0.0.1:{name.port}/{DATABASE}"
        settings = with_storage(url, tmp_path, redis_failover_s=60)
        with ExitStack() as stack:
            running: Worker = stack.enter_context(worker(as_environment(settings), tmp_path, "-e", "null", "-c", "1"))
            queue = stack.enter_context(OcrQueue(settings))
            pool = stack.enter_context(ThreadPoolExecutor(1))
            queue.submit(HELLO, engine="null").wait(PATIENT_S)
            slow = queue.submit(HELLO, engine="null", cache=False, options={"delay_s": 3})
            waiting = pool.submit(slow.wait, PATIENT_S)
            wait_until(lambda: slow.status().state == "running", PATIENT_S, "a job is read")
            with before.client() as demoted, after.client() as promoted:
                # or else the next primary might never hear of the job
                written = demoted.info("replication")["master_repl_offset"]
                wait_until(
                    lambda: promoted.info("replication")["slave_repl_offset"] >= written, 60, "the replica is in step"
                )
                promoted.replicaof("NO", "ONE")
                name.target = ("127.0.0.1", after.port)
                # its connections stay, as those of the programs that it cannot reach
                demoted.replicaof("127.0.0.1", str(after.port))
                assert waiting.result(PATIENT_S).state == "succeeded"
                assert queue.submit(HELLO, engine="null", cache=False).wait(PATIENT_S).state == "succeeded"
                assert asyncio.run(one_async(settings)) == "succeeded"
                assert running.alive()
                assert check(registry_of(queue)) == []


async def one_async(settings: WorkerSettings) -> str:
    async with AsyncOcrQueue(settings) as queue:
        return (await (await queue.submit(HELLO, engine="null", cache=False)).wait(PATIENT_S)).state
