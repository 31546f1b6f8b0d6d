"""A Redis that is killed and comes back: workers go on with their jobs, and nothing on its disk is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.errors import JobUnknown
from ocrqueue.job import Job
from ocrqueue.settings import load_worker_settings
from tests.support.gates import Gates, page, with_gated
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, redis_server, wait_until, worker

HELLO = png(text_picture("Hello 42"))


def installation(url: str, folder: Path) -> dict[str, object]:
    (folder / "storage").mkdir()
    settings = load_worker_settings(
        redis_url=url, storage=f"file://{folder}/storage", worker_heartbeat_s=0.5, lost_after_s=1
    )
    # jobs can be submitted to it also when its worker has not said for a moment that it is there
    return as_environment(with_gated(settings))


def test_with_an_append_only_file_jobs_run_on_and_the_queue_is_there_again(tmp_path: Path, gates: Gates) -> None:
    with redis_server(tmp_path, append_only=True) as server:
        settings = installation(server.url, tmp_path)
        with (
            worker(settings, tmp_path, "--engine", "gated", "-c", "1") as running,
            OcrQueue(load_worker_settings(**settings)) as queue,
        ):
            (child,) = running.running_children()
            job = queue.submit(page(60), **gates.fields)
            waiting = [queue.submit(page(60), **gates.fields) for _ in range(3)]
            wait_until(lambda: gates.reached(60), 60, "the job is at its page")
            time.sleep(1.1)  # what Redis writes to its disk every second
            server.kill()
            time.sleep(1.5)
            server.start()
            gates.open([60])
            status = job.wait(60)
            assert (status.state, status.attempts) == ("succeeded", 1)
            assert [each.wait(60).state for each in waiting] == ["succeeded"] * 3
            assert running.running_children() == [child]


def test_without_persistence_what_waited_is_unknown_and_what_ran_has_its_result(tmp_path: Path, gates: Gates) -> None:
    with redis_server(tmp_path) as server:
        settings = installation(server.url, tmp_path)
        with (
            worker(settings, tmp_path, "--engine", "gated", "-c", "1") as running,
            OcrQueue(load_worker_settings(**settings)) as queue,
        ):
            job, waiting = queue.submit(page(60), **gates.fields), queue.submit(page(60), **gates.fields)
            wait_until(lambda: gates.reached(60), 60, "the job is at its page")
            server.kill()
            server.start()
            with pytest.raises(JobUnknown):
                waiting.wait(60)
            gates.open([60])
            wait_until(lambda: _known(queue, job.id), 60, "the worker has told how the job ended")
            assert job.result(timeout=60).text == "null1"
            assert queue.submit(page(60), **gates.fields).wait(60).state == "succeeded"
            assert running.alive()


def test_what_a_redis_that_has_lost_its_end_gives_out_again_is_not_read_again(tmp_path: Path, gates: Gates) -> None:
    with redis_server(tmp_path) as server:
        # whoever reclaims looks at it seldom: what tells is the lost connection
        settings = installation(server.url, tmp_path) | {"lost_after_s": 120}
        with (
            worker(settings, tmp_path, "--engine", "gated", "-c", "1") as running,
            OcrQueue(load_worker_settings(**settings)) as queue,
            server.client() as client,
        ):
            queue.submit(page(60), **gates.fields)
            wait_until(lambda: gates.reached(60), 60, "the child has a page")
            job = queue.submit(page(70), **gates.fields)
            client.save()
            gates.open([60, 70])
            assert job.wait(60).state == "succeeded"
            (gates.folder / "reached 70").unlink()
            # it is not to be given out before the test has looked
            os.killpg(running.pid, signal.SIGSTOP)
            server.kill()
            server.start()
            assert job.status().state == "queued", "its end is lost"
            os.killpg(running.pid, signal.SIGCONT)
            assert (job.wait(60).state, job.status().attempts) == ("succeeded", 1)
            assert not gates.reached(70), running.log_text()[-3000:]
            assert "a result stands in storage" in running.log_text()


@pytest.mark.parametrize("snapshot", [True, False], ids=["from before the first worker", "none"])
def test_a_result_that_redis_forgot_wholly_stands_and_is_found(tmp_path: Path, snapshot: bool) -> None:
    """The app heard that its job had ended, and has thrown its image away."""
    (tmp_path / "hello.png").write_bytes(HELLO)
    with redis_server(tmp_path) as server:
        settings = installation(server.url, tmp_path) | {"source_file_roots": str(tmp_path)}
        with OcrQueue(load_worker_settings(**settings)) as queue:
            asked = Job(image=(tmp_path / "hello.png").as_uri(), engine="null")
            job = queue.submit(asked) if not snapshot else queue.submit(asked.image, engine="null")
            if snapshot:
                with server.client() as client:
                    client.save()
            with worker(settings, tmp_path, "--engine", "null", "-c", "1") as running:
                assert job.wait(60).state == "succeeded"
                (tmp_path / "hello.png").unlink()
                server.kill()
                server.start()
                if not snapshot:
                    assert queue.submit(asked).id == job.id
                assert (job.wait(60).state, job.result().text) == ("succeeded", "null1")
                assert "a result stands in storage" in running.log_text()


def _known(queue: OcrQueue, job_id: str) -> bool:
    try:
        return registry_of(queue).status(job_id).finished
    except JobUnknown:
        return False


def test_a_worker_that_is_stopped_while_redis_is_away_puts_its_job_back_when_it_answers(
    tmp_path: Path, gates: Gates
) -> None:
    with redis_server(tmp_path, append_only=True) as server:
        # none would be taken from it for lost
        settings = installation(server.url, tmp_path) | {"lost_after_s": 120, "shutdown_grace_s": 1}
        with (
            OcrQueue(load_worker_settings(**settings)) as queue,
            worker(settings, tmp_path, "--engine", "gated", "-c", "1") as running,
        ):
            job = queue.submit(page(60), **gates.fields)
            wait_until(lambda: gates.reached(60), 60, "the job is at its page")
            time.sleep(1.1)  # what Redis writes to its disk every second
            server.kill()
            running.process.send_signal(signal.SIGTERM)
            time.sleep(2)  # longer than the grace
            assert running.alive()
            server.start()
            running.process.wait(60)
            status = job.status()
            assert (status.state, status.error and status.error.code) == ("queued", "worker.stopping")
            assert registry_of(queue).client.hget(registry_of(queue).keys.record(job.id), "deliveries") is None
