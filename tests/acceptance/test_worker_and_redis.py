"""What a worker asks of Redis, how soon it hears of a job, and a Redis that becomes a replica for a while."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.broker import transport
from tests.support.commands import asked, scripts_counted
from tests.support.gates import Gates, page, with_gated
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, as_environment, redis_server, wait_until, worker

HELLO = png(text_picture("Hello 42"))
NULL = ("--engine", "null", "-c", "1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """That nobody else asks."""
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def settings(server: RedisServer, tmp_path: Path) -> WorkerSettings:
    """With the usual pauses."""
    (tmp_path / "storage").mkdir()
    return with_gated(load_worker_settings(redis_url=server.url, storage=f"file://{tmp_path}/storage"))


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue
        assert check(registry_of(queue)) == []


IN_VAIN = 10
"""How often a worker may ask for work that is not there, before a first job and after a last one: when a count begins,
those of the job before may still come. One script more for each job would be 20 and 200."""


def test_a_job_of_one_page_is_three_scripts_beside_its_submission(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    keys, client = registry_of(queue).keys, registry_of(queue).client
    # heartbeats and shared duties are not of the jobs
    calm = as_environment(settings) | {"worker_heartbeat_s": 200, "lost_after_s": 500}
    client.set(f"{keys.root}duty", "somebody else", ex=500)
    # a reference: what is uploaded is announced by a script of its own
    image = queue.storage.put("page.png", HELLO, "image/png")
    with worker(calm, tmp_path, *NULL):
        queue.submit(image, engine="null", crops="none").wait(60)
        number = 20
        with scripts_counted(client) as count:
            for _ in range(number):
                queue.submit(image, engine="null", crops="none").wait(60)
            # SUBMIT is the fourth; after a job, an idle worker finds that there is no other
            assert count() <= number * (3 + 1 + 1) + IN_VAIN
        with scripts_counted(client) as count:
            jobs = queue.submit_many([image] * 200, engine="null", crops="none")
            assert len(list(queue.as_completed(jobs, timeout=100))) == 200
            assert count() <= 3 * 200 + 1 + IN_VAIN


def test_an_idle_worker_does_not_get_up_for_what_is_paused(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    keys, client = registry_of(queue).keys, registry_of(queue).client
    calm = as_environment(settings) | {"worker_heartbeat_s": 200, "lost_after_s": 500}
    client.set(f"{keys.root}duty", "somebody else", ex=500)
    image, number = queue.storage.put("page.png", HELLO, "image/png"), 60
    fields = {"engine": "null", "tenant": "acme", "crops": "none", "cache": False}
    with worker(calm, tmp_path, *NULL):
        for paused in ({"tenant": "acme"}, {"lane": "ocr.null"}, {"engine": "null"}):
            queue.submit(image, **fields).wait(60)
            queue.pause(**paused)
            with scripts_counted(client) as count:
                jobs = [queue.submit(image, **fields) for _ in range(number)]
                assert count() <= number + IN_VAIN, paused
            queue.resume(**paused)
            assert len(list(queue.as_completed(jobs, timeout=60))) == number


def test_an_idle_worker_asks_redis_little(
    settings: WorkerSettings, queue: OcrQueue, server: RedisServer, tmp_path: Path
) -> None:
    keys = registry_of(queue).keys
    with ExitStack() as stack:
        # one that waits for as long as nobody asks anything
        client = stack.enter_context(server.client(socket_timeout=None))
        for _ in range(2):
            # no duty lasts for longer than a lease
            long_leases = as_environment(settings) | {"lost_after_s": 500}
            stack.enter_context(worker(long_leases, tmp_path, *NULL))
        time.sleep(10)  # Celery has made all its connections
        found = asked(client, 60)
        assert found.total() <= 2 * 30 + 120, found
        client.set(f"{keys.root}duty", "somebody else", ex=500)
        time.sleep(10)  # two heartbeats: the worker whose they were has heard of it
        found = asked(client, 60)
        assert found.total() <= 2 * 30, found


def test_an_idle_worker_is_woken_and_does_not_only_look(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    with worker(as_environment(settings), tmp_path, *NULL):
        waits = []
        for _ in range(15):
            job = queue.submit(HELLO, engine="null", crops="none")
            waits.append(job.wait(60).timings.queue_wait_s)
    assert statistics.median(waits) < transport._SHORTEST_LISTENING_S / 10, waits


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_outlives_a_failover(
    settings: WorkerSettings, queue: OcrQueue, server: RedisServer, tmp_path: Path, gates: Gates, pool: str
) -> None:
    """What Redis says then: UNBLOCKED to who listens, READONLY to who writes."""
    quick = as_environment(settings) | {"worker_heartbeat_s": 0.5, "lost_after_s": 20}
    command = ("-m", "celery", "-A", "ocrqueue_worker.app", "worker", "-P", pool, "-c", "2", "-Q", "ocr.gated")
    with worker(quick, tmp_path, command=command) as running:
        job = queue.submit(page(60), **gates.fields)
        wait_until(lambda: gates.reached(60), 60, "a page is read")
        children = running.running_children()
        waiting = [queue.submit(page(60), **gates.fields) for _ in range(3)]
        with server.client() as client:
            client.replicaof("127.0.0.1", 1)
            time.sleep(12)
            gates.open([60])
            time.sleep(1)
            client.replicaof("NO", "ONE")
        for each in (job, *waiting):
            status = each.wait(100)
            assert (status.state, status.attempts) == ("succeeded", 1), running.log_text()[-3000:]
        # and everything that it could do before
        more = [queue.submit(page(60), **gates.fields) for _ in range(4)]
        assert {each.wait(60).state for each in more} == {"succeeded"}
        assert running.alive()
        assert running.running_children() == children
        assert running.log_text().count('"event": "job started"') == 8


def test_connections_that_come_and_go_leave_no_files_behind(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    client = registry_of(queue).client
    with worker(as_environment(settings), tmp_path, *NULL) as running:

        def works() -> None:
            assert queue.submit(HELLO, engine="null", crops="none").wait(60).state == "succeeded"

        def files() -> int:
            return len(list(Path(f"/proc/{running.pid}/fd").iterdir()))

        def lose_connections() -> None:
            client.client_kill_filter(skipme=True, _type="normal")
            works()

        works()
        for _ in range(2):
            lose_connections()
        before = files()
        for _ in range(6):
            lose_connections()
        wait_until(lambda: files() <= before + 2, 60, f"there are not more files than {before}")
        assert "Bad file descriptor" not in running.log_text()
        assert "Unrecoverable" not in running.log_text()
