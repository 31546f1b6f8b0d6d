"""Whoever asked for it is told how a job or a batch ended, also where Redis has no memory left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pydantic import SecretStr

from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.brokers import Messages
from tests.support.gates import Gates, page, with_gated
from tests.support.outside import from_outside
from tests.support.processes import redis_server, wait_until


def test_a_job_that_ends_at_the_memory_limit_is_told_to_its_reply_queue(
    settings: WorkerSettings, tmp_path: Path, gates: Gates
) -> None:
    with (
        redis_server(tmp_path) as server,
        from_outside(with_gated(settings.model_copy(update={"redis_url": SecretStr(server.url)})), tmp_path) as outside,
    ):
        told = Messages(outside.queue, "theirs")
        with outside.worker("--engine", "gated", "-c", "1"):
            job = outside.queue.submit(page(60), reply_to="theirs", **gates.fields)
            wait_until(lambda: gates.reached(60), 60, "a page is read")
            outside.client.config_set("maxmemory", 1)
            gates.open([60])
            assert job.wait(60).state == "succeeded"
            assert told.count() == 1
            outside.client.config_set("maxmemory", 0)


def test_the_end_of_a_batch_is_told_once_though_its_worker_is_killed(
    settings: WorkerSettings, tmp_path: Path, gates: Gates
) -> None:
    numbers = range(60, 64)
    with from_outside(with_gated(settings), tmp_path) as outside:
        told = Messages(outside.queue, "theirs")
        batch = outside.queue.batch("pages")
        with outside.worker("--engine", "gated", "-c", "2") as first:
            for number in numbers:
                outside.queue.submit(page(number), batch="pages", **gates.fields)
            batch.close(reply_to="theirs")
            wait_until(lambda: gates.reached(60) and gates.reached(61), 60, "two pages are read")
            assert (batch.status().queued, batch.status().running) == (2, 2)
            os.killpg(first.pid, signal.SIGKILL)
        gates.open(list(numbers))
        with outside.worker("--engine", "gated", "-c", "2"):
            assert batch.wait(120).succeeded == len(numbers)
        documents = [document for _, document in batch.results()]
        assert [document.job_id for document in documents if document] == [job.id for job in batch.jobs()]
        assert told.count() == 1
        assert check(registry_of(outside.queue)) == []
