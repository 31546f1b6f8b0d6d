"""`ocrqueue-worker health`: red when the worker's main process stops, green while Redis is away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.lifecycle import liveness_check
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, Worker, as_environment, environment, redis_server, wait_until, worker

NULL = ("--engine", "null", "--concurrency", "1")
TOUCHED_EVERY_S = 5.0


@dataclass(frozen=True)
class Watched:
    worker: Worker
    settings: WorkerSettings
    redis: RedisServer

    @property
    def file(self) -> Path:
        assert self.settings.health_file
        return self.settings.health_file

    def age_s(self) -> float:
        return time.time() - self.file.stat().st_mtime

    def grow_old(self, seconds: float) -> None:
        """As if the last sign of life had been given so long ago."""
        then = time.time() - seconds
        os.utime(self.file, (then, then))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("health")
    (folder / "storage").mkdir()
    (folder / "health").write_text("of a worker before")
    with redis_server(folder) as redis:
        settings = load_worker_settings(
            redis_url=redis.url,
            storage=f"file://{folder}/storage",
            worker_heartbeat_s=1,
            health_file=folder / "health",
        )
        with worker(as_environment(settings), folder, *NULL) as running:
            wait_until((folder / "health").exists, 60, "it takes jobs")
            yield Watched(running, settings, redis)


def check(file: Path) -> subprocess.CompletedProcess[str]:
    """As a container's health check runs it."""
    return subprocess.run(
        [sys.executable, "-I", "-S", liveness_check.__file__],
        env={liveness_check.VARIABLE: str(file)},
        capture_output=True,
        text=True,
        check=False,
    )


def command(settings: dict[str, object], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ocrqueue_worker", "health"],
        env=environment(settings),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_worker_that_takes_jobs_is_green(watched: Watched) -> None:
    assert watched.file.read_text() == ""  # the file of a worker before is none of its own
    assert check(watched.file).returncode == 0
    answer = command(as_environment(watched.settings), watched.file.parent)
    assert (answer.returncode, answer.stdout) == (0, "alive\n")


def test_a_stopped_main_process_is_red_within_a_minute(watched: Watched) -> None:
    os.kill(watched.worker.pid, signal.SIGSTOP)
    try:
        # a time that the worker would have touched it in, and then the rest of the half minute without waiting for it
        time.sleep(TOUCHED_EVERY_S + 1)
        assert watched.age_s() > TOUCHED_EVERY_S
        assert check(watched.file).returncode == 0
        watched.grow_old(liveness_check.SILENT_AFTER_S + 1)
        answer = check(watched.file)
    finally:
        os.kill(watched.worker.pid, signal.SIGCONT)
    assert answer.returncode == 1
    said = re.search(r"no sign of life for (\d+) s", answer.stderr)
    assert said is not None, answer.stderr
    assert liveness_check.SILENT_AFTER_S < float(said[1]) < 2 * liveness_check.SILENT_AFTER_S
    wait_until(lambda: check(watched.file).returncode == 0, 60, "it is green again")


def test_a_worker_stays_green_while_redis_is_down_and_works_when_it_is_back(watched: Watched) -> None:
    watched.redis.kill()
    time.sleep(2)
    # while there is no connection, and so no event loop
    for _ in range(2):
        watched.grow_old(15)
        old = watched.age_s()
        wait_until(lambda: watched.age_s() < old, 60, "it gives a sign of life")  # noqa: B023  # called at once
        assert check(watched.file).returncode == 0
    watched.redis.start()
    with OcrQueue(watched.settings) as queue:
        assert queue.submit(png(text_picture("back")), engine="null").wait(60).state == "succeeded"
    # the consumer has begun anew, and its step with it
    watched.grow_old(60)
    wait_until(lambda: check(watched.file).returncode == 0, 60, "the event loop touches it again")


def test_without_a_worker_the_check_is_red_and_says_what_it_waits_for(tmp_path: Path) -> None:
    answer = check(tmp_path / "health")
    assert answer.returncode == 1
    assert "No such file or directory; it is there once the worker has loaded and reached Redis" in answer.stderr
    answer = command({}, tmp_path)
    assert answer.returncode == 1
    assert "OCRQUEUE_HEALTH_FILE is not set" in answer.stderr
