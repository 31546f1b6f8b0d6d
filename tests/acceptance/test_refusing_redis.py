"""A Redis that answers and refuses: too few replicas, no room on its disk, its memory full. Workers wait, and go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import load_settings
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
    with worker(given, tmp_path, *ONE_CHILD) as running, OcrQueue(load_settings(**given)) as queue:
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
    with OcrQueue(load_settings(**given)) as queue, ThreadPoolExecutor(1) as pool:
        job = queue.submit(HELLO, engine="null")
        lifted = pool.submit(refuse_until_it_waits)
        wait_until(lambda: refused, 60, "Redis refuses")
        with worker(given, tmp_path, *ONE_CHILD):
            lifted.result()
            assert job.wait(60).state == "succeeded"


def test_a_worker_that_starts_at_the_memory_limit_reads_what_waits(
    server: RedisServer, given: dict[str, object], tmp_path: Path
) -> None:
    with OcrQueue(load_settings(**given)) as queue, server.client() as client:
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
