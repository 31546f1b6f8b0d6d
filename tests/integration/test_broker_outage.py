"""Redis is away, silent, full or loading: an app is told so within 5 s, and no job is half submitted."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import BrokerUnavailable, EngineUnknown, JobUnknown
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.processes import (
    RedisServer,
    as_environment,
    environment,
    need_program,
    redis_server,
    wait_until,
)
from tests.support.proxy import Mode, Proxy, proxy
from tests.support.standstill import time_lost

IMAGE = "s3://bucket/page.png"
PROMISED_S = 5.0
PATIENT_S = 10.0
"""Where calls are to be answered in the end: a third of it is long enough for a busy machine."""
Answers = dict[str, tuple[float, object]]
"""By call: seconds, less what a busy machine added to them, and its value or exception."""


@pytest.fixture
def between(redis: RedisServer) -> Iterator[Proxy]:
    with proxy(redis.port) as between:
        yield between


@pytest.fixture
def through(settings: WorkerSettings, redis: RedisServer, between: Proxy) -> WorkerSettings:
    """The settings of the test, but for the way to Redis."""
    return with_url(settings, redis.url.replace(f":{redis.port}/", f":{between.port}/"))


def with_url(settings: WorkerSettings, url: str) -> WorkerSettings:
    return settings.model_copy(update={"redis_url": load_worker_settings(redis_url=url).redis_url})


def whole_jobs(queue: OcrQueue) -> int:
    """How many jobs there are, each with its record, its place, and its share of what is counted."""
    assert check(registry_of(queue)) == []
    prefix = registry_of(queue).keys.record("")
    return sum(1 for _ in registry_of(queue).client.scan_iter(match=f"{prefix}*", count=1000))


# --- in time ----------------------------------------------------------------------------------------------------------


def blocking_calls(queue: OcrQueue, known: str) -> dict[str, Callable[[], object]]:
    job = queue.job(known)
    return {
        "submit": lambda: queue.submit(IMAGE),
        "submit_many": lambda: queue.submit_many([IMAGE] * 3),
        "submit_many, waiting for room": lambda: queue.submit_many([IMAGE] * 3, wait_for_room=None),
        "status": job.status,
        "wait": job.wait,
        "cancel": job.cancel,
        "queues": queue.queues,
    }


def timed(call: Callable[[], object]) -> tuple[float, object]:
    started = time.monotonic()
    try:
        value = call()
    except Exception as error:
        value = error
    return time.monotonic() - started, value


async def ask_asyncio(settings: WorkerSettings, known: str, about_to_ask: threading.Barrier) -> Answers:
    async def timed(call: Callable[[], object]) -> tuple[float, object]:
        started = time.monotonic()
        try:
            value = await call()  # type: ignore[misc]  # each gives an awaitable of its own kind
        except Exception as error:
            value = error
        return time.monotonic() - started, value

    async with AsyncOcrQueue(settings) as queue:
        job = queue.job(known)
        await queue.statuses([known])
        waiting = asyncio.create_task(timed(job.wait))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(about_to_ask.wait)
        lost_at = time.monotonic()
        await asyncio.to_thread(about_to_ask.wait)
        calls: dict[str, Callable[[], object]] = {
            "asyncio submit": lambda: queue.submit(IMAGE),
            "asyncio submit_many": lambda: queue.submit_many([IMAGE] * 3),
            "asyncio status": job.status,
            "asyncio wait": job.wait,
            "asyncio cancel": job.cancel,
        }
        answers = await asyncio.gather(*map(timed, calls.values()))
        _, ended = await waiting
        told_after = time.monotonic() - lost_at
        return {
            **dict(zip(calls, answers, strict=True)),
            "asyncio wait begun before": (told_after, ended),
        }


def ask_everything(settings: WorkerSettings, known: str, lose_redis: Callable[[], object]) -> Answers:
    """Every call at once, when Redis has just been lost: with open connections, with none, and in the middle."""
    about_to_ask = threading.Barrier(2)
    with (
        time_lost() as lost_s,
        OcrQueue(settings) as used,
        OcrQueue(settings) as new,
        ThreadPoolExecutor(32) as pool,
    ):
        named = {f"{name}, connected": call for name, call in blocking_calls(used, known).items()}
        named |= {f"{name}, not connected": call for name, call in blocking_calls(new, known).items()}
        with suppress(BrokerUnavailable):
            list(pool.map(lambda _: registry_of(used).jobs([known]), range(len(named))))
        asking = pool.submit(lambda: asyncio.run(ask_asyncio(settings, known, about_to_ask)))
        waiting = pool.submit(used.job(known).wait)
        about_to_ask.wait(60)
        lost_at = time.monotonic()
        lose_redis()
        about_to_ask.wait(60)
        asked = {name: pool.submit(timed, call) for name, call in named.items()}
        answers = {name: answer.result() for name, answer in asked.items()}
        ended = waiting.exception()
        answers |= {"wait begun before": (time.monotonic() - lost_at, ended)} | asking.result()
        return {name: (seconds - lost_s(), value) for name, (seconds, value) in answers.items()}


def check_told_in_time(answers: Answers) -> None:
    late_or_wrong = {
        name: (round(seconds, 2), value)
        for name, (seconds, value) in answers.items()
        if seconds > PROMISED_S or not isinstance(value, BrokerUnavailable)
    }
    assert late_or_wrong == {}
    assert len(answers) == 21


@pytest.mark.parametrize("mode", ["refuse", "reset"])
def test_an_app_is_told_of_a_redis_that_is_away(
    through: WorkerSettings, settings: WorkerSettings, between: Proxy, mode: Mode
) -> None:
    with OcrQueue(settings) as queue:
        known = queue.submit(IMAGE)
        check_told_in_time(ask_everything(through, known.id, lambda: between.set(mode)))
        assert whole_jobs(queue) == 1


@pytest.fixture(scope="module")
def silences(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answers]:
    """What came of all calls when Redis fell silent in each of three ways; at the same time, for each takes seconds."""

    def through_a_proxy(mode: Mode, within_s: float) -> Answers:
        given = {"redis_url": redis.url, "key_prefix": f"{mode}:", "redis_timeout_s": within_s}
        with proxy(redis.port) as between, OcrQueue(**given) as direct:
            url = redis.url.replace(f":{redis.port}/", f":{between.port}/")
            known = direct.submit(IMAGE)
            answers = ask_everything(with_url(direct.settings, url), known.id, lambda: between.set(mode))
            between.set("pass")
            wait_until(lambda: between.connections == 0, 60, "what had been sent has arrived")
            assert whole_jobs(direct) >= 1
            return answers

    def paused() -> Answers:
        with redis_server(tmp_path_factory.mktemp("paused")) as server, server.client() as client:
            with OcrQueue(redis_url=server.url) as queue:
                known = queue.submit(IMAGE)
            return ask_everything(queue.settings, known.id, lambda: client.client_pause(30_000))

    with ThreadPoolExecutor(3) as pool:
        stalled = pool.submit(through_a_proxy, "stall", PROMISED_S)
        half_open = pool.submit(through_a_proxy, "half_open", PATIENT_S)
        return {"paused": paused(), "stalled": stalled.result(), "half open": half_open.result()}


@pytest.mark.parametrize("how", ["stalled", "paused"])
def test_an_app_is_told_of_a_redis_that_is_silent(silences: dict[str, Answers], how: str) -> None:
    check_told_in_time(silences[how])


def test_connections_that_died_unnoticed_cost_time_and_no_error(silences: dict[str, Answers]) -> None:
    answers = silences["half open"]
    assert {name: value for name, (seconds, value) in answers.items() if seconds > PATIENT_S} == {}
    assert {name: value for name, (_, value) in answers.items() if isinstance(value, BrokerUnavailable)} == {}
    assert answers["cancel, connected"][1] == "cancelled"


def test_an_app_is_told_of_a_redis_that_loads_its_data(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, OcrQueue(redis_url=server.url) as queue:
        known = queue.submit(IMAGE)
        registry_of(queue).client.mset({f"filling-{number}": os.urandom(1000) for number in range(4000)})
        registry_of(queue).client.save()
    with loading_redis(server), time_lost() as lost_s, OcrQueue(redis_url=server.url, redis_timeout_s=60) as queue:
        for call in blocking_calls(queue, known.id).values():
            seconds, error = timed(call)
            assert isinstance(error, BrokerUnavailable)
            assert "loading" in error.message
            assert seconds - lost_s() < PROMISED_S / 2
        with pytest.raises(BrokerUnavailable, match="loading"):
            asyncio.run(async_submit(queue.settings))


@contextmanager
def loading_redis(server: RedisServer) -> Iterator[None]:
    """The server again, which takes more than a minute to load what it has saved."""
    slow = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    place = ("--port", str(server.port), "--bind", "127.0.0.1", "--dir", str(server.folder))
    process = subprocess.Popen(
        [need_program("redis-server"), *place, *slow, "--requirepass", server.password],
        stdout=subprocess.DEVNULL,
    )
    try:
        with OcrQueue(redis_url=server.url) as queue:
            wait_until(lambda: "loading" in str(timed(lambda: queue.submit(IMAGE))[1]), 60, "redis-server loads")
        yield
    finally:
        process.kill()
        process.wait()


async def async_submit(settings: WorkerSettings) -> None:
    async with AsyncOcrQueue(settings) as queue:
        await queue.submit(IMAGE)


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_a_submission_whose_answer_was_lost_can_be_repeated(
    through: WorkerSettings, settings: WorkerSettings, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what was read of the engines is to last until jobs are sent, however busy the machine
    monkeypatch.setattr("ocrqueue.routing.router._FRESH_S", 1000.0)
    impatient = through.model_copy(update={"redis_timeout_s": 1.5})
    job = Job(image=IMAGE)
    with OcrQueue(impatient) as queue, OcrQueue(settings) as direct:

        def waiting() -> int:
            return int(registry_of(direct).client.zcard(registry_of(direct).keys.queue(job.queue, "")))

        def look_at_the_engines() -> None:
            """So that a submission right after this begins with sending jobs."""
            with pytest.raises(EngineUnknown):
                queue.submit(IMAGE, engine="nonesuch")

        look_at_the_engines()
        between.set("stall")
        with pytest.raises(BrokerUnavailable):
            queue.submit(job)
        with pytest.raises(JobUnknown):
            direct.job(job.id).status()
        between.set("pass")
        wait_until(lambda: waiting() == 1, 60, "what had been sent has arrived")
        assert queue.submit(job).id == job.id
        assert whole_jobs(direct) == 1

        look_at_the_engines()
        between.set("stall")
        with pytest.raises(BrokerUnavailable):
            queue.submit(IMAGE, idempotency_key="order 4711")
        between.set("pass")
        wait_until(lambda: waiting() == 2, 60, "what had been sent has arrived")
        again = queue.submit(IMAGE, idempotency_key="order 4711")
        assert direct.job(again.id).status().state == "queued"
        assert whole_jobs(direct) == 2


@pytest.mark.parametrize("cut_at", [0, 5_000, 100_000])
def test_a_connection_cut_in_a_submission_leaves_nothing_or_is_mended(
    through: WorkerSettings, settings: WorkerSettings, between: Proxy, cut_at: int
) -> None:
    jobs = [Job(image=f"{IMAGE}?{number}") for number in range(500)]
    with OcrQueue(through) as queue, OcrQueue(settings) as direct:
        registry_of(queue).client.ping()
        between.cut_after(cut_at, times=100)
        with pytest.raises(BrokerUnavailable):
            queue.submit_many(jobs)
        assert between.cuts >= 2
        assert whole_jobs(direct) == 0
        between.cut_after(cut_at, times=1)
        assert [job.id for job in queue.submit_many(jobs)] == [job.id for job in jobs]
        assert whole_jobs(direct) == 500


def test_what_is_beyond_the_memory_limit_is_refused_as_a_whole(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, OcrQueue(redis_url=server.url) as queue:
        client = registry_of(queue).client
        queue.submit(IMAGE)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 3_000_000)
        with pytest.raises(BrokerUnavailable, match="memory limit") as refused:
            queue.submit_many([IMAGE] * 20_000)
        assert whole_jobs(queue) == 1 + len(refused.value.submitted)
        assert len(refused.value.submitted) + len(refused.value.unsubmitted) == 20_000
        assert 500 < whole_jobs(queue) < 4000
        before = client.dbsize()
        client.config_set("maxmemory", 1_000_000)
        with pytest.raises(BrokerUnavailable, match="memory limit"):
            queue.submit(IMAGE, idempotency_key="order 4711")
        with pytest.raises(BrokerUnavailable, match="memory limit"):
            asyncio.run(async_submit(queue.settings))
        assert client.dbsize() == before


def test_a_redis_that_has_all_its_connections_is_not_called_silent(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client(single_connection_client=True) as first:
        settings = load_worker_settings(redis_url=server.url)
        first.config_set("maxclients", 1)

        async def ask() -> None:
            async with AsyncOcrQueue(settings) as queue:
                await queue.status("j")

        with pytest.raises(BrokerUnavailable, match=r"as many connections as it may have.*maxclients"):
            asyncio.run(ask())
        with OcrQueue(settings) as queue:
            with pytest.raises(BrokerUnavailable, match=r"as many connections as it may have.*maxclients"):
                queue.status("j")
            first.config_set("maxclients", 100)
            with pytest.raises(JobUnknown):
                queue.status("j")


def test_a_redis_that_cannot_save_takes_no_jobs(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with redis_server(folder) as server, OcrQueue(redis_url=server.url) as queue:
        client = registry_of(queue).client
        client.config_set("save", "3600 1")
        shutil.rmtree(server.folder)
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 60, "it could not save")
        with pytest.raises(BrokerUnavailable, match="MISCONF"):
            queue.submit(IMAGE)
        assert whole_jobs(queue) == 0


def test_a_redis_that_takes_no_writes_is_told_as_such_of_several_in_one_round_trip(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        pipeline = client.pipeline(transaction=False).set("one", 1).set("another", 1)
        with pytest.raises(BrokerUnavailable, match="NOREPLICAS"), broker_errors():
            pipeline.execute()


def test_a_redis_that_is_too_old_is_named_as_such() -> None:
    said = "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'"  # by 6.2
    with pytest.raises(BrokerUnavailable, match=r"7\.0 or newer"), broker_errors():
        raise redis.ResponseError(said)


def test_a_database_that_is_not_there_is_told_at_once(redis: RedisServer, settings: WorkerSettings) -> None:
    elsewhere = with_url(settings, redis.url.removesuffix("/0") + "/99")

    async def awaited() -> list[BaseException | object]:
        async with AsyncOcrQueue(elsewhere) as queue:
            job = queue.job("any")
            asked = (queue.submit(IMAGE), queue.submit_many([b"GIF8"]), job.status(), job.wait(60), queue.engines())
            return await asyncio.gather(*asked, return_exceptions=True)

    with OcrQueue(elsewhere) as queue:
        job = queue.job("any")
        told: list[BaseException | object] = []
        for ask in (lambda: queue.submit(IMAGE), job.status, lambda: job.wait(60), queue.engines):
            with pytest.raises(BrokerUnavailable) as refused:
                ask()
            told.append(refused.value)
    assert {str(each).partition(". ")[0] for each in (*told, *asyncio.run(awaited()))} == {
        "broker.unavailable: Redis has no database of this number"
    }
    done = subprocess.run(
        [sys.executable, "-m", "ocrqueue.cli", "status", "any"],
        env=environment(as_environment(elsewhere)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("error: broker.unavailable: Redis has no database")
