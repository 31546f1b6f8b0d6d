"""Many waits on one client, what a timeout promises, and what is told of jobs that are not there."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ocrqueue import AsyncOcrQueue, JobStatus, OcrQueue
from ocrqueue.aio import redis_of
from ocrqueue.client import registry_of
from ocrqueue.core import Registry, WorkerRegistry
from ocrqueue.core.pool_room import WithRoom
from ocrqueue.errors import (
    BrokerUnavailable,
    ConnectionsExhausted,
    JobCancelled,
    JobDeleted,
    JobNotFinished,
    JobUnknown,
    JobWaitTimeout,
)
from ocrqueue.settings import WorkerSettings
from ocrqueue.settings.per_engine import PerEngine
from ocrqueue.waiting.watch import Watch
from tests.support.processes import as_environment, environment, redis_server, wait_until

MANY = 500
IMAGE = "s3://bucket/page.png"


def connections(queue: OcrQueue) -> int:
    return int(registry_of(queue).client.info("clients")["connected_clients"])


def end(queue: OcrQueue, job_ids: list[str]) -> None:
    """As if somebody had cancelled them."""
    for start in range(0, len(job_ids), 100):
        registry_of(queue).run("cancel", registry_of(queue).arguments.cancel(job_ids[start : start + 100]))


@contextmanager
def counted(queue: OcrQueue) -> Iterator[Callable[[], int]]:
    """How many connections there are beyond those that the test itself has."""
    before = connections(queue)
    yield lambda: connections(queue) - before


def test_500_threads_wait_through_few_connections(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue, OcrQueue(settings) as other, counted(other) as more:
        jobs = queue.submit_many([IMAGE] * MANY)
        woken: list[str] = []
        waiting = threading.Semaphore(0)

        def wait(job_id: str) -> None:
            job = queue.job(job_id)
            waiting.release()
            job.wait(300)
            woken.append(job_id)

        threads = [threading.Thread(target=wait, args=(job.id,), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        for _ in threads:
            waiting.acquire()
        wait_until(lambda: len(queue._subscriber._watches._watches) == MANY, 60, "all wait")
        assert more() <= 20
        end(other, [job.id for job in jobs])
        for thread in threads:
            thread.join(60)
        assert more() <= 20
        assert len(woken) == MANY


async def test_500_tasks_wait_through_few_connections(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as other, counted(other) as more:
        async with AsyncOcrQueue(settings) as queue:
            jobs = await queue.submit_many([IMAGE] * MANY)
            woken: list[str] = []

            async def wait(job_id: str) -> None:
                await queue.job(job_id).wait(300)
                woken.append(job_id)

            tasks = [asyncio.create_task(wait(job.id)) for job in jobs]
            while len(queue._subscriber._watches._watches) < MANY:
                await asyncio.sleep(0.01)
            assert more() <= 20
            await asyncio.to_thread(end, other, [job.id for job in jobs])
            await asyncio.gather(*tasks)
            assert more() <= 20
            assert len(woken) == MANY


def test_an_exhausted_pool_is_told_as_such(settings: WorkerSettings) -> None:
    with OcrQueue(settings.model_copy(update={"redis_max_connections": 4})) as queue:
        pool = registry_of(queue).client.connection_pool
        held = [pool.get_connection() for _ in range(4)]
        with pytest.raises(ConnectionsExhausted, match="in use"):
            queue.job("any").status()
        for connection in held:
            pool.release(connection)
        with pytest.raises(JobUnknown):
            queue.job("any").status()


async def test_with_asyncio_a_call_waits_for_a_connection(settings: WorkerSettings) -> None:
    few = settings.model_copy(update={"redis_max_connections": 4})
    async with AsyncOcrQueue(few) as queue:
        answers = await asyncio.gather(*(queue.statuses(["any"]) for _ in range(100)))
        assert answers == [[None]] * 100
    async with AsyncOcrQueue(few) as queue:
        pool = redis_of(queue).connection_pool
        assert isinstance(pool, WithRoom)
        # Redis itself may take its time
        pool.patience_s = 0.5
        held = [await pool.get_connection() for _ in range(4)]
        with pytest.raises(ConnectionsExhausted, match="in use"):
            await queue.statuses(["any"])
        for connection in held:
            await pool.release(connection)
        assert await queue.statuses(["any"]) == [None]


def test_a_wait_outlasts_a_moment_without_connections(settings: WorkerSettings) -> None:
    with OcrQueue(settings.model_copy(update={"redis_max_connections": 4})) as queue, OcrQueue(settings) as other:
        job = queue.submit(IMAGE)
        pool = registry_of(queue).client.connection_pool
        held = [pool.get_connection() for _ in range(4)]
        waiting = threading.Thread(target=job.wait)
        waiting.start()
        time.sleep(0.3)
        for connection in held:
            pool.release(connection)
        other.job(job.id).cancel()
        waiting.join(60)
        assert not waiting.is_alive()


def test_a_timeout_is_kept_while_events_arrive(settings: WorkerSettings, registry: WorkerRegistry) -> None:
    """Of a job that another tells of all the time."""
    with OcrQueue(settings) as queue:
        job = queue.submit(IMAGE)
        stop = threading.Event()

        def tell() -> None:
            channel = registry.keys.events(job.id)
            while not stop.is_set():
                registry.client.publish(channel, f"{job.id} running 1/2")

        telling = threading.Thread(target=tell)
        telling.start()
        steps: list[JobStatus] = []
        try:
            with pytest.raises(JobWaitTimeout) as late:
                job.wait(0.3, steps.append)
        finally:
            stop.set()
            telling.join()
        assert [step.state for step in steps] == ["queued"]
        assert job.id in late.value.message
        assert late.value.job_ids == (job.id,)


def test_ids_without_a_record_are_told_after_the_others(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        jobs = queue.submit_many([IMAGE] * 3)
        end(queue, [job.id for job in jobs])
        ended: list[str] = []
        handles = [queue.job("gone-1"), *jobs, queue.job("gone-2")]
        with pytest.raises(JobUnknown, match="gone-1, gone-2") as unknown:
            ended.extend(job.id for job in queue.as_completed(handles, timeout=60))
        assert sorted(ended) == sorted(job.id for job in jobs)
        assert unknown.value.job_ids == ("gone-1", "gone-2")


async def test_so_it_is_in_an_event_loop(settings: WorkerSettings) -> None:
    async with AsyncOcrQueue(settings) as queue:
        job = await queue.submit(IMAGE)

        async def ended(*job_ids: str, timeout: float) -> None:
            async for done in queue.as_completed(map(queue.job, job_ids), timeout):
                found.append(done.id)

        found: list[str] = []
        with pytest.raises(JobWaitTimeout) as late:
            await ended(job.id, "gone", timeout=0.2)
        assert (found, late.value.job_ids) == ([], (job.id, "gone"))
        await job.cancel()
        with pytest.raises(JobUnknown, match="gone"):
            await ended("gone", job.id, timeout=60)
        assert found == [job.id]


def test_a_wait_goes_on_through_a_restart_within_its_timeout(tmp_path: Path) -> None:
    with redis_server(tmp_path, append_only=True) as server, OcrQueue(redis_url=server.url) as queue:
        job, batch = queue.submit(IMAGE, batch="b"), queue.batch("b")
        found: list[object] = []
        counted = threading.Event()
        waiting = threading.Thread(target=lambda: found.append(job.wait(120).state))
        waiting_for_all = threading.Thread(
            target=lambda: found.append(batch.wait(120, lambda _: counted.set()).cancelled)
        )
        waiting.start()
        waiting_for_all.start()
        assert counted.wait(60)
        wait_until(
            lambda: registry_of(queue).client.pubsub_numsub(registry_of(queue).keys.events(job.id))[0][1] == 1, 60, ""
        )
        server.kill()
        time.sleep(1)
        server.start()
        job.cancel()
        waiting.join(60)
        waiting_for_all.join(60)
        assert sorted(map(str, found)) == ["1", "cancelled"]


def test_what_waiting_does_not_cure_is_told_at_once(settings: WorkerSettings) -> None:
    url = settings.redis_url.get_secret_value().replace("://:", "://nobody:")
    with (
        OcrQueue(settings.model_copy(update={"redis_url": SecretStr(url)})) as queue,
        pytest.raises(BrokerUnavailable, match="password"),
    ):
        queue.job("any").wait(120)


def test_a_caller_who_is_busy_is_not_sent_more_than_it_can_take(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        jobs = queue.submit_many([IMAGE] * 5000)
        end(queue, [job.id for job in jobs])
        iterator = queue.watch(jobs, timeout=120)
        next(iterator)
        watch = next(iter(queue._subscriber._watches._watches))
        wait_until(lambda: watch in queue._subscriber._watches._full, 60, "it is full")
        assert len(watch._found) < 2000
        assert len(list(iterator)) == 4999


def test_a_wait_says_that_the_job_was_deleted(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        job = queue.submit(IMAGE)
        job.delete()
        for wait in (job.wait, job.result, job.pages, job.progress, partial(queue.as_completed, [job])):
            with pytest.raises(JobDeleted) as deleted:
                list(wait(timeout=60))
            assert deleted.value.job_ids == (job.id,)

    async def awaited() -> None:
        async with AsyncOcrQueue(settings) as queue:
            gone = queue.job(job.id)
            for wait in (gone.wait, gone.result):
                with pytest.raises(JobDeleted):
                    await wait(timeout=60)
            for read in (gone.pages, gone.progress, partial(queue.as_completed, [gone])):
                with pytest.raises(JobDeleted):
                    await anext(read(timeout=60))

    asyncio.run(awaited())


def test_a_closed_watch_is_forgotten(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        job = queue.submit(IMAGE)
        for _ in range(3):
            with pytest.raises(JobWaitTimeout):
                job.wait(0.01)
        watches = queue._subscriber._watches
        assert (watches._by_job, watches._channels, watches._due) == ({}, {}, {})
        wait_until(lambda: queue._subscriber._thread is None, 60, "the thread has ended")


def test_a_job_that_is_named_twice_is_told_once(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        job = queue.submit(IMAGE)
        job.cancel()
        assert [status.state for _, status in queue.watch([job, job], 60)] == ["cancelled"]


def test_a_first_look_is_taken_however_short_the_timeout(settings: WorkerSettings) -> None:
    watch = Watch(settings, ["a", "b"], 0, progress=True)
    assert watch.next() is None
    watch.settle("a", None)
    assert watch.next() is None
    watch.settle("b", None)
    with pytest.raises(JobUnknown, match="2 jobs"):
        watch.next()


def test_result_waits_by_default(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue, ThreadPoolExecutor(2) as threads:
        job = queue.submit(IMAGE)
        with pytest.raises(JobNotFinished):
            job.result(timeout=0)
        with pytest.raises(TimeoutError) as late:
            job.result(timeout=0.05)
        assert isinstance(late.value, JobWaitTimeout)
        assert isinstance(pickle.loads(pickle.dumps(late.value)), JobWaitTimeout)

        async def result() -> None:
            async with AsyncOcrQueue(settings) as other:
                await other.job(job.id).result()

        results = [threads.submit(job.result), threads.submit(lambda: asyncio.run(result()))]
        wait_until(lambda: queue._subscriber._watches._watches, 60, "it waits")
        end(queue, [job.id])
        for each in results:
            with pytest.raises(JobCancelled):
                each.result(60)


def test_handles_of_one_id_are_equal(settings: WorkerSettings) -> None:
    queue, other = OcrQueue(settings), AsyncOcrQueue(settings)
    assert queue.job("a") == queue.job("a")
    assert queue.job("a") != queue.job("b")
    assert {queue.job("a"), queue.job("a")} == {queue.job("a")}
    assert {other.job("a"), other.job("a")} == {other.job("a")}
    assert queue.job("a") != other.job("a")


@pytest.mark.parametrize("timeout", [1e300, float("inf"), 1e12])
def test_a_timeout_of_any_length_can_be_waited_for(settings: WorkerSettings, timeout: float) -> None:
    """Threads cannot sleep for as long as a float can tell."""
    with OcrQueue(settings) as queue, ThreadPoolExecutor(2) as threads:
        job = queue.submit(IMAGE)

        async def wait() -> JobStatus:
            async with AsyncOcrQueue(settings) as other:
                return await other.job(job.id).wait(timeout)

        waits = [threads.submit(job.wait, timeout), threads.submit(lambda: asyncio.run(wait()))]
        wait_until(lambda: queue._subscriber._watches._watches, 60, "it waits")
        end(queue, [job.id])
        assert [each.result(60).state for each in waits] == ["cancelled", "cancelled"]
        with pytest.raises(ValueError, match="not a number"):
            job.wait(float("nan"))


async def test_what_is_asked_of_the_installation_takes_no_connection_each_time(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as other:

        def opened() -> int:
            return int(registry_of(other).client.info("stats")["total_connections_received"])

        async with AsyncOcrQueue(settings) as queue:
            await queue.engines()
            before = opened()
            for _ in range(5):
                await queue.engines()
                await queue.queues()
                await queue.engine_statuses()
            assert opened() - before <= 1


async def test_what_is_no_number_of_seconds_is_refused(settings: WorkerSettings) -> None:
    """Compared with a clock, NaN is never reached."""
    with OcrQueue(settings) as queue:
        job = queue.submit(IMAGE, batch="b")
        async with AsyncOcrQueue(settings) as other:
            for wrong, error in ((float("nan"), ValueError), ("5", TypeError)):
                given: Any = wrong
                for wait in (job.wait, job.result, queue.batch("b").wait, lambda t: list(queue.as_completed([job], t))):
                    with pytest.raises(error, match="timeout"):
                        wait(given)
                for awaited in (other.job(job.id).wait, other.job(job.id).result, other.batch("b").wait):
                    with pytest.raises(error, match="timeout"):
                        await awaited(given)
                with pytest.raises(error, match="wait_for_room"):
                    queue.submit(IMAGE, wait_for_room=given)
                with pytest.raises(error, match="wait_for_room"):
                    await other.submit(IMAGE, wait_for_room=given)
        assert len(queue.jobs().jobs) == 1


def test_pages_outlast_a_moment_without_redis(settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    fields, outages = Registry.fields, [BrokerUnavailable("gone"), BrokerUnavailable("gone")]
    told = threading.Event()

    def away(registry: Registry, *arguments: Any) -> Any:
        told.set()
        if outages:
            raise outages.pop()
        return fields(registry, *arguments)

    monkeypatch.setattr(Registry, "fields", away)
    with OcrQueue(settings) as queue, ThreadPoolExecutor(1) as threads:
        job = queue.submit(IMAGE)
        pages = threads.submit(lambda: list(job.pages(60)))
        assert told.wait(60)
        job.cancel()
        with pytest.raises(JobCancelled):
            pages.result(60)


def test_what_waiting_for_pages_does_not_cure_is_told_at_once(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = BrokerUnavailable("not permitted")
    refused.may_pass = False

    def away(*_: Any) -> Any:
        raise refused

    monkeypatch.setattr(Registry, "fields", away)
    with OcrQueue(settings) as queue, pytest.raises(BrokerUnavailable, match="not permitted"):
        list(queue.submit(IMAGE).pages(60))


_WATCHES_MANY = """
import resource, sys, time
from ocrqueue import OcrQueue
ids = sys.stdin.read().split()
with OcrQueue() as queue:
    started, told = time.process_time(), set()
    for job in queue.as_completed((queue.job(job_id) for job_id in ids), timeout=600):
        told.add(job.id)
        if len(told) == len(ids) // 3:
            print("a third", flush=True)
    assert told == set(ids)
print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.all
def test_100000_jobs_of_which_a_third_had_ended(settings: WorkerSettings) -> None:
    any_number = settings.model_copy(update={"max_queue_length": PerEngine(0)})
    with OcrQueue(any_number) as queue:
        ids = [job.id for job in queue.submit_many([IMAGE] * 100_000)]
        end(queue, ids[::3])
        watching = subprocess.Popen(
            [sys.executable, "-c", _WATCHES_MANY],
            env=environment(as_environment(settings)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with watching:
            assert watching.stdin is not None
            assert watching.stdout is not None
            watching.stdin.write("\n".join(ids))
            watching.stdin.close()
            assert watching.stdout.readline() == "a third\n"
            end(queue, ids)
            processor_s, peak_kb = map(float, watching.stdout.read().split())
    assert processor_s < 30
    assert peak_kb < 300_000
