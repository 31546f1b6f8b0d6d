"""Engines with a large model: no job before it is loaded, and a child that is replaced has the time to load again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment, wait_until, worker
from tests.support.proxy import proxy

LOAD_S = 8.0
"""Twice what Celery allows a child by default."""

ENGINE = """
import os, time
from pathlib import Path
from urllib.parse import urlsplit
from ocrqueue_worker.engines.null import NullEngine

class SlowEngine(NullEngine):
    name = "slow"

    def concurrency(self):
        return 1

    def load(self):
        with Path(os.environ["SLOW_ENGINE_LOADS"]).open("a") as loads:
            loads.write(f"{os.getpid()}\\n")
        time.sleep(float(os.environ["SLOW_ENGINE_S"]))
"""


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a distribution that has an engine of its own, as a plug-in is installed: where it notes who loads it."""
    site = tmp_path / "site"
    (site / "slow_engine-1.dist-info").mkdir(parents=True)
    (site / "slow_engine-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-engine\nVersion: 1\n")
    (site / "slow_engine-1.dist-info" / "entry_points.txt").write_text(
        "[ocrqueue.engines]\nslow = slow_engine:SlowEngine\n"
    )
    (site / "slow_engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("SLOW_ENGINE_S", str(LOAD_S))
    monkeypatch.setenv("SLOW_ENGINE_LOADS", str(tmp_path / "loads"))
    return tmp_path / "loads"


def test_a_worker_is_ready_when_its_engine_is_and_a_killed_child_loads_again_once(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path, loads: Path
) -> None:
    started = time.monotonic()
    environment = as_environment(settings) | {"engines": "tesseract,null,slow"}
    with worker(environment, tmp_path, "--engine", "slow") as slow:
        assert time.monotonic() - started >= LOAD_S
        (info,) = queue.engines()["slow"]
        assert info.concurrency == 1
        (child,) = slow.running_children()
        assert queue.submit(png(text_picture("one")), engine="slow").result(60).text
        killed = time.monotonic()
        os.kill(child, signal.SIGKILL)
        job = queue.submit(png(text_picture("two")), engine="slow")
        assert job.result(100).text
        assert time.monotonic() - killed >= LOAD_S
        assert job.status().attempts == 1
        (replacement,) = slow.running_children()
        assert replacement != child
        time.sleep(1)
        assert slow.running_children() == [replacement]
    assert loads.read_text().split() == [str(child), str(replacement)]


@pytest.mark.parametrize("moment", ["children are started", "children load"])
def test_a_worker_ends_when_it_is_told_to_while_it_loads(
    settings: WorkerSettings, loads: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setenv("SLOW_ENGINE_S", "1000")
    told = subprocess.Popen(
        [sys.executable, "-m", "ocrqueue_worker", "--engine", "slow"],
        env=environment(as_environment(settings)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until(lambda: loads.exists() if moment == "children load" else children(told.pid), 60, moment)
        told.send_signal(signal.SIGTERM)
        output, _ = told.communicate(timeout=60)
    finally:
        told.kill()
        told.wait()
    assert told.returncode == 0, output


def test_a_child_killed_before_the_worker_is_connected_is_replaced(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    url = urlsplit(settings.redis_url.get_secret_value())
    with proxy(url.port or 6379) as way, (tmp_path / "log").open("wb") as log:
        way.set("refuse")
        through = url._replace(netloc=f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{way.port}".lstrip("@")).geturl()
        started = subprocess.Popen(
            [sys.executable, "-m", "ocrqueue_worker", "--engine", "null", "--concurrency", "1"],
            env=environment(as_environment(settings) | {"redis_url": through}),
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: "engines loaded" in (tmp_path / "log").read_text(), 60, "the engine is loaded")
            (child,) = children(started.pid)
            os.kill(int(child), signal.SIGKILL)
            way.set("pass")
            assert queue.submit(png(text_picture("one")), engine="null").wait(100).state == "succeeded"
            assert started.poll() is None
        finally:
            started.terminate()
            started.wait(60)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
