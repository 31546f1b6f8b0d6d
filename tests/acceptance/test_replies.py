"""Whoever asked for it is told how a job ended, also where Redis has no memory left."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from ocrqueue.settings import Settings
from tests.support.brokers import Messages
from tests.support.gates import Gates, page, with_gated
from tests.support.outside import from_outside
from tests.support.processes import redis_server, wait_until


def test_a_job_that_ends_at_the_memory_limit_is_told_to_its_reply_queue(
    settings: Settings, tmp_path: Path, gates: Gates
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
