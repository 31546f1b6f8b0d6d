"""A Redis that answers and refuses: too few replicas, no room on its disk, its memory full. Workers wait, and go on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.client import SubmittedJob, registry_of
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import load_worker_settings
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, redis_server, wait_until, worker

HELLO = png(text_picture("Hello 42"))
ONE_CHILD = ("--engine", "null", "-c", "1")


@contextmanager
def without_replicas(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        yield
        client.config_set("min-replicas-to-write", 0)


@contextmanager
def unable_to_save(server: RedisServer) -> Iterator[None]:
    with server.client() as client:
        client.config_set("save", "3600 1")
        shutil.rmtree(server.folder)
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 60, "it could not save")
        yield
        client.config_set("stop-writes-on-bgsave-error", "no")


Refusal = Callable[[RedisServer], AbstractContextManager[None]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def given(server: RedisServer, tmp_path: Path) -> dict[str, object]:
    (tmp_path / "storage").mkdir()
    return {"redis_url": server.url, "storage": f"file://{tmp_path}/storage", "worker_heartbeat_s": 1}


def logs(folder: Path) -> str:
    return "".join(log.read_text() for log in folder.glob("worker-*.log"))


@pytest.mark.parametrize("refusing", [without_replicas, unable_to_save])
def test_a_worker_that_connects_anew_meanwhile_goes_on(
    server: RedisServer, given: dict[str, object], tmp_path: Path, refusing: Refusal
) -> None:
    with worker(given, tmp_path, *ONE_CHILD) as running, OcrQueue(load_worker_settings(**given)) as queue:
        children = running.running_children()
        with refusing(server):
            with server.client() as client:
                client.client_kill_filter(_type="normal")
                client.client_kill_filter(_type="pubsub")
            wait_until(lambda: "Redis cannot do its work now" in running.log_text(), 60, "it is refused")
        assert queue.submit(HELLO, engine="null").wait(60).state == "succeeded"
        assert running.running_children() == children


@pytest.mark.parametrize("refusing", [without_replicas, unable_to_save])
def test_a_worker_that_starts_meanwhile_waits(
    server: RedisServer, given: dict[str, object], tmp_path: Path, refusing: Refusal
) -> None:
    def refuse_until_it_waits() -> None:
        with refusing(server):
            refused.append(True)
            wait_until(lambda: "Redis cannot do its work now" in logs(tmp_path), 60, "it is refused")

    refused: list[bool] = []
    with OcrQueue(load_worker_settings(**given)) as queue, ThreadPoolExecutor(1) as pool:
        job = queue.submit(HELLO, engine="null")
        lifted = pool.submit(refuse_until_it_waits)
        wait_until(lambda: refused, 60, "Redis refuses")
        with worker(given, tmp_path, *ONE_CHILD):
            lifted.result()
            assert job.wait(60).state == "succeeded"


def test_a_worker_that_starts_at_the_memory_limit_reads_what_waits(
    server: RedisServer, given: dict[str, object], tmp_path: Path
) -> None:
    with OcrQueue(load_worker_settings(**given)) as queue, server.client() as client:
        job = queue.submit(HELLO, engine="null")
        client.config_set("maxmemory", 1_000_000)
        assert client.info("memory")["used_memory"] > 1_000_000
        with worker(given, tmp_path, *ONE_CHILD) as running:
            assert job.wait(60).state == "succeeded"
            client.client_kill_filter(_type="normal")
            client.config_set("maxmemory", 0)
            another = queue.submit(HELLO, engine="null", cache=False)
            client.config_set("maxmemory", 1_000_000)
            assert another.wait(60).state == "succeeded"
            assert "Frequent restarts" not in running.log_text()


def jobs_of_all_kinds(queue: OcrQueue) -> dict[str, list[SubmittedJob]]:
    """Some that have ended, some that have failed, some that wait, each under its tag."""
    made = {
        "read": queue.submit_many([HELLO] * 3, engine="null", tag="read", cache=False),
        "failed": queue.submit_many([HELLO] * 2, engine="null", tag="failed", options={"fault": "error"}),
    }
    for jobs in made.values():
        dict(queue.watch(jobs, 60))
    queue.pause(engine="null")
    made["waiting"] = queue.submit_many([HELLO] * 3, engine="null", tag="waiting", cache=False)
    return made


def test_at_the_memory_limit_all_that_frees_memory_works_and_is_noted(
    server: RedisServer, given: dict[str, object], tmp_path: Path
) -> None:
    settings = load_worker_settings(**given)
    with worker(given, tmp_path, *ONE_CHILD, "-n", "drained@here") as running, OcrQueue(settings) as queue:
        made = jobs_of_all_kinds(queue)
        with server.client() as client:
            client.config_set("maxmemory", 1_000_000)
            with pytest.raises(BrokerUnavailable, match="memory limit"):
                queue.submit(HELLO, engine="null")
            assert queue.cancel_many(tag="waiting").jobs == 3
            assert queue.drop_many(tag="failed").jobs == 2
            assert queue.delete_many(tag="waiting").jobs == 3
            queue.delete(made["read"][0].id)
            assert queue.delete_many(tag="read").jobs == 2
            queue.clean()
            queue.resume(engine="null")
            assert [each.name for each in queue.drain("drained@here")] == ["drained@here"]
            assert running.process.wait(60) == 0
            noted = [entry.action for entry in queue.audit()]
            assert noted == ["drain", "resume", "clean", "delete", "delete", "delete", "drop", "cancel", "pause"]
            assert {entry.ended for entry in queue.audit()} == {"done"}
            assert check(registry_of(queue)) == []


def test_at_the_memory_limit_the_asyncio_client_does_the_same(
    server: RedisServer, given: dict[str, object], tmp_path: Path
) -> None:
    async def free() -> None:
        async with AsyncOcrQueue(load_worker_settings(**given)) as queue:
            assert (await queue.cancel_many(tag="waiting")).jobs == 3
            assert (await queue.delete_many(tag="read")).jobs == 3
            await queue.clean()
            await queue.drain("drained@here")
            assert {entry.ended for entry in await queue.audit()} == {"done"}

    with (
        worker(given, tmp_path, *ONE_CHILD, "-n", "drained@here") as running,
        OcrQueue(load_worker_settings(**given)) as queue,
        server.client() as client,
    ):
        jobs_of_all_kinds(queue)
        client.config_set("maxmemory", 1_000_000)
        asyncio.run(free())
        assert running.process.wait(60) == 0


def test_at_the_memory_limit_a_worker_still_rings_and_notes_what_it_has_left(
    server: RedisServer, given: dict[str, object]
) -> None:
    with OcrQueue(load_worker_settings(**given)) as queue, server.client() as client:
        job = queue.submit(HELLO, engine="null")
        job.cancel()
        client.config_set("maxmemory", 1_000_000)
        with closing(WorkerRegistry(queue.settings)) as registry:
            registry.ring_again(["ocr.null"])
            registry.ring_again(["ocr.null"])
            registry.wake("a-worker")
            assert client.llen(registry.keys.bell("ocr.null")) == client.llen(registry.keys.bell(":a-worker")) == 1
            assert client.ttl(registry.keys.bell(":a-worker")) > 0
            registry.note_leftovers(job.id, own_result=False)
            assert registry.leftovers(10) == [job.id]
