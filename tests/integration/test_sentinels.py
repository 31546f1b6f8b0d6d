"""Sentinels as a client meets them: silent, refusing, not knowing the name; and replicas that are waited for."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import select
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.core.pools import async_connection_pool
from ocrqueue.errors import BrokerUnavailable, JobWaitTimeout, NotReplicated, QueueFull
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.processes import RedisServer, as_environment, environment, redis_server, wait_until
from tests.support.proxy import proxy
from tests.support.sentinels import NAME, Replicated, replicated_redis
from tests.support.standstill import time_lost

IMAGE = "s3://bucket/page.png"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with replicated_redis(tmp_path_factory.mktemp("servers")) as made:
        yield made


@pytest.fixture
def replicated(servers: Replicated, settings: WorkerSettings) -> WorkerSettings:
    """The settings of the test, but for the way to Redis."""
    return with_url(settings, servers.url)


def with_url(settings: WorkerSettings, url: str, **more: object) -> WorkerSettings:
    return settings.model_copy(update={"redis_url": load_worker_settings(redis_url=url).redis_url, **more})


async def submit_async(settings: WorkerSettings, *jobs: Job) -> list[str]:
    async with AsyncOcrQueue(settings) as queue:
        return [job.id for job in await queue.submit_many(jobs)]


async def test_who_asks_while_the_client_is_closed_is_told_so(settings: WorkerSettings) -> None:
    """And not that it was cancelled, which nobody has done."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"sentinel://127.0.0.1:{silent.getsockname()[1]}/{NAME}/0"
        queue = AsyncOcrQueue(with_url(settings, url, redis_timeout_s=600))
        asking = [asyncio.create_task(queue.job("a" * 8).status()) for _ in range(3)]
        while not silent_is_asked(silent):
            await asyncio.sleep(0.02)
        async with asyncio.timeout(60):
            await queue.close()
            for each in asking:
                with pytest.raises(BrokerUnavailable):
                    await each


def silent_is_asked(server: socket.socket) -> bool:
    return bool(select.select([server], [], [], 0)[0])


def test_replicas_have_a_job_when_its_submission_returns(servers: Replicated, replicated: WorkerSettings) -> None:
    waiting = replicated.model_copy(update={"submit_replicas": 1})
    with OcrQueue(waiting) as queue, servers.replica().client() as replica, servers.primary().client() as primary:
        replica.select(1)
        primary.script_flush()
        jobs = [Job(image=IMAGE) for _ in range(600)]
        assert [job.id for job in queue.submit_many(jobs)] == [job.id for job in jobs]
        assert all(replica.exists(registry_of(queue).keys.record(job.id)) for job in jobs)
        primary.script_flush()
        later = Job(image=IMAGE)
        assert asyncio.run(submit_async(waiting, later)) == [later.id]
        assert replica.exists(registry_of(queue).keys.record(later.id))
        assert check(registry_of(queue)) == []


def test_no_connection_to_a_sentinel_is_left_by_many_who_ask_at_once(
    servers: Replicated, replicated: WorkerSettings
) -> None:
    """As after a failover, where all connections of an app are made anew together."""

    async def ask() -> None:
        pool = async_connection_pool(replicated)
        await asyncio.gather(*(ask_often(pool) for _ in range(25)))
        await pool.disconnect()

    async def ask_often(pool: Any) -> None:
        for _ in range(60):
            await asyncio.sleep(random.random() * 0.02)
            with suppress(RedisError):
                await pool.get_master_address()

    # what tests before this one have left to be collected: Celery 5.6's own producers leave sockets
    gc.collect()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(ask())
        gc.collect()
    assert [str(each.message) for each in told] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("sentinel_password=", "sentinel_password=not-"),
        lambda url: url.replace(NAME, "writers"),
        lambda url: f"sentinel://127.0.0.1:9/{NAME}",
    ],
    ids=["their password", "the name", "nobody there"],
)
def test_sentinels_that_name_no_primary_are_told_of_as_such(
    servers: Replicated, replicated: WorkerSettings, change
) -> None:  # type: ignore[no-untyped-def]  # a function of a URL
    wrong = with_url(replicated, change(servers.url))
    with OcrQueue(wrong) as queue, pytest.raises(BrokerUnavailable, match="No Sentinel names a primary") as error:
        queue.submit(IMAGE)
    assert error.value.retryable
    with pytest.raises(BrokerUnavailable, match="No Sentinel names a primary"):
        asyncio.run(submit_async(wrong, Job(image=IMAGE)))


def test_servers_that_refuse_the_password_are_told_of_as_such(servers: Replicated, replicated: WorkerSettings) -> None:
    wrong = with_url(replicated, servers.url.replace("//ocr:secret", "//ocr:other"))
    with OcrQueue(wrong) as queue, pytest.raises(BrokerUnavailable, match="refuses the user or password"):
        queue.submit(IMAGE)


def test_sentinels_that_are_silent_cost_time_and_no_error(servers: Replicated, replicated: WorkerSettings) -> None:
    with proxy(servers.sentinels[0].port) as silent:
        silent.set("stall")
        there = f"127.0.0.1:{servers.sentinels[0].port}"
        through = with_url(replicated, servers.url.replace(there, f"127.0.0.1:{silent.port}"), redis_timeout_s=10)
        with OcrQueue(through) as queue:
            assert queue.submit(IMAGE).status().state == "queued"
            # the one that answered is asked first from now on: the silent one costs no more time
            registry_of(queue).client.connection_pool.disconnect()
            assert queue.submit(IMAGE).status().state == "queued"
            assert silent.accepted == 1
        assert asyncio.run(submit_async(through, Job(image=IMAGE)))


def test_where_all_are_silent_an_app_is_told_so_in_time(servers: Replicated, replicated: WorkerSettings) -> None:
    with proxy(servers.sentinels[0].port) as silent:
        silent.set("stall")
        hosts = ",".join([f"127.0.0.1:{silent.port}"] * 3)
        with OcrQueue(with_url(replicated, f"sentinel://{hosts}/{NAME}")) as queue, time_lost() as lost_s:
            begun = time.monotonic()
            with pytest.raises(BrokerUnavailable):
                queue.submit(IMAGE)
            assert time.monotonic() - begun - lost_s() < 5


def test_where_no_replica_has_them_the_jobs_are_queued_and_the_app_is_told(settings: WorkerSettings) -> None:
    asking = settings.model_copy(update={"submit_replicas": 2, "submit_replicas_timeout_s": 0.05})
    with OcrQueue(asking) as queue:
        jobs = [Job(image=IMAGE) for _ in range(501)]
        with pytest.raises(NotReplicated, match="501 jobs are queued, but only 0 of 2 replicas") as error:
            queue.submit_many(jobs)
        assert [job.id for job in error.value.submitted] == [job.id for job in jobs]
        assert {job.status().state for job in error.value.submitted} == {"queued"}
        with pytest.raises(NotReplicated) as error:
            queue.submit(IMAGE, idempotency_key="order 4711")
        first = error.value.submitted[0].id
        with pytest.raises(NotReplicated) as error:
            queue.submit(IMAGE, idempotency_key="order 4711")
        assert error.value.submitted[0].id == first
        with pytest.raises(NotReplicated, match="1 jobs are queued"):
            asyncio.run(submit_async(asking, Job(image=IMAGE)))
        assert check(registry_of(queue)) == []


def test_where_the_queue_is_full_too_both_are_told(settings: WorkerSettings) -> None:
    more = {"submit_replicas": 1, "submit_replicas_timeout_s": 0.05, "max_queue_length": 3}
    asking = load_worker_settings(**{**as_environment(settings), **more})
    with OcrQueue(asking) as queue:
        with pytest.raises(QueueFull) as full:
            queue.submit_many([IMAGE] * 5)
        assert len(full.value.submitted) == 3
        assert full.value.not_replicated is not None
        assert full.value.not_replicated.info.details == {"wanted": 1, "replicas": 0}
        # what was refused has nothing that could be replicated
        with pytest.raises(QueueFull) as full:
            queue.submit(IMAGE)
        assert full.value.not_replicated is None


def test_the_command_line_prints_the_ids_and_says_so_by_its_status(settings: WorkerSettings, tmp_path: Path) -> None:
    given = {**as_environment(settings), "submit_replicas": 1, "submit_replicas_timeout_s": 0.05}
    told = subprocess.run(
        [sys.executable, "-m", "ocrqueue.cli", "submit", "--json", IMAGE, IMAGE],
        env=environment(given),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert told.returncode == 9, told.stderr
    assert "broker.not_replicated" in told.stderr
    with OcrQueue(settings) as queue:
        *queued, error = map(json.loads, told.stdout.splitlines())
        assert error["error"]["details"] == {"wanted": 1, "replicas": 0}
        ids = [each["id"] for each in queued]
        assert [queue.job(job_id).status().state for job_id in ids] == ["queued", "queued"]


# --- waiting through an outage ----------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "data").mkdir()
    with redis_server(tmp_path / "data", append_only=True) as server:
        yield server


async def wait_async(settings: WorkerSettings, job_id: str, timeout: float | None) -> str:
    async with AsyncOcrQueue(settings) as queue:
        return (await queue.job(job_id).wait(timeout)).state


def test_who_waits_bears_an_outage_for_as_long_as_the_setting_says(server: RedisServer) -> None:
    bearing = load_worker_settings(redis_url=server.url, redis_failover_s=60, redis_timeout_s=1)
    impatient = load_worker_settings(redis_url=server.url, redis_failover_s=1, redis_timeout_s=1)
    with OcrQueue(bearing) as queue, OcrQueue(impatient) as other:

        async def wait_through_an_outage() -> list[object]:
            job = queue.submit(IMAGE)
            time.sleep(1.1)  # what Redis writes to its disk every second
            waits = [
                asyncio.to_thread(queue.job(job.id).wait, 100),
                wait_async(bearing, job.id, 100),
                asyncio.to_thread(other.job(job.id).wait),
                wait_async(impatient, job.id, None),
                asyncio.to_thread(queue.job(job.id).wait, 3),
                wait_async(bearing, job.id, 3),
            ]
            tasks = [asyncio.create_task(each) for each in waits]  # type: ignore[arg-type]  # coroutines of different kinds
            await asyncio.sleep(1)
            server.kill()
            await asyncio.gather(*tasks[2:], return_exceptions=True)
            assert not any(task.done() for task in tasks[:2])
            await asyncio.to_thread(server.start)
            assert job.cancel() == "cancelled"
            return list(await asyncio.gather(*tasks, return_exceptions=True))

        status, state, *raised = asyncio.run(wait_through_an_outage())
    assert getattr(status, "state", status) == state == "cancelled"
    assert [type(error) for error in raised] == [BrokerUnavailable] * 4


def test_a_wait_that_ends_after_an_outage_ends_as_any_other(server: RedisServer) -> None:
    with OcrQueue(redis_url=server.url, redis_failover_s=60, redis_timeout_s=1) as queue:
        job = queue.submit(IMAGE)
        seen = []
        with pytest.raises(JobWaitTimeout):
            job.wait(2, on_progress=lambda status: seen.append(status) or restart_once(server, seen))  # type: ignore[func-returns-value]  # append returns None, so the second is called
        wait_until(lambda: job.status().state == "queued", 60, "it is there")


def restart_once(server: RedisServer, seen: list[object]) -> None:
    if len(seen) == 1:
        time.sleep(1.1)
        server.kill()
        server.start()
