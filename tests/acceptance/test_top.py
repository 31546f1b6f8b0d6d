"""`ocrqueue top` in a terminal, while workers work."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, as_environment, environment, redis_server, worker

HELLO = png(text_picture("Hello 42"))
TOP = (sys.executable, "-m", "ocrqueue.cli", "top")


def test_one_frame_tells_of_the_last_minutes(settings: WorkerSettings, tmp_path: Path) -> None:
    given = as_environment(settings)
    with OcrQueue(settings) as queue, worker(given, tmp_path, "--engine", "null", "-c", "1", "-n", "null@here"):
        jobs = queue.submit_many([HELLO] * 3, engine="null", options={"delay_s": 0.4}, crops="none")
        jobs += queue.submit_many([HELLO] * 2, engine="null", options={"fault": "error"}, crops="none")
        queue.submit(HELLO, engine="vision")
        waits = sorted((status.started_at - status.queued_at).total_seconds() for _, status in queue.watch(jobs, 60))  # type: ignore[operator]  # they have started
        deadline = time.monotonic() + 60
        while "MiB" not in (shown := once(settings)) and time.monotonic() < deadline:
            time.sleep(0.2)
    words = [line.split() for line in shown.splitlines()]
    assert words[0][:10] == ["1", "worker", "1", "waiting", "0", "running", "0", "delayed", "2", "dead"]
    null = next(line for line in words if line[:1] == ["null"])
    assert null[1:3] == ["1", "0/0/0"]
    assert float(null[-4]) == pytest.approx(waits[2], rel=0.25, abs=0.06)
    assert float(null[-2]) == pytest.approx(waits[-1], rel=0.25, abs=0.06)
    assert next(line for line in words if line[:1] == ["vision"])[1:3] == ["0", "0/1/0"]
    assert next(line for line in words if line[:1] == ["null@here"])[1] == "null"
    assert ["2", "engine.failed", "null"] in words


def test_a_frame_as_a_picture_says_the_same_and_asks_no_other_server(settings: WorkerSettings, tmp_path: Path) -> None:
    with OcrQueue(settings) as queue:
        queue.submit(HELLO, engine="vision")
    drawn = tmp_path / "top.svg"
    subprocess.run([*TOP, "--svg", str(drawn)], env=environment(as_environment(settings)), check=True)
    texts = "".join(ElementTree.parse(drawn).getroot().itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert "1 waiting" in texts
    assert "0/1/0" in texts
    assert "url(http" not in drawn.read_text(encoding="utf-8").replace(" ", "").replace('"', "")


def once(settings: WorkerSettings) -> str:
    return subprocess.run(
        [*TOP, "--once"], env=environment(as_environment(settings)), check=True, capture_output=True, text=True
    ).stdout


def test_it_lives_in_a_terminal_and_outlives_redis(tmp_path: Path) -> None:
    """80 x 24, until q."""
    with redis_server(tmp_path) as redis:
        live_and_outlive(redis, load_worker_settings(redis_url=redis.url, redis_timeout_s=0.5))


def live_and_outlive(redis: RedisServer, settings: WorkerSettings) -> None:
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(terminal)
    given = environment(as_environment(settings)) | {"TERM": "xterm"}
    process = subprocess.Popen(
        [*TOP, "--interval", "0.2"], env=given, stdin=terminal, stdout=terminal, stderr=terminal, close_fds=True
    )
    try:
        assert read_until(screen, "0 waiting", 60)
        redis.kill()
        assert read_until(screen, "broker.unavailable", 60)
        redis.start()
        with OcrQueue(redis_url=redis.url) as queue:
            queue.submit("https://example.org/x.png", engine="null")
        assert read_until(screen, "1 waiting", 60)
        os.write(screen, b"q")
        assert read_until(screen, "\x1b[?1049l", 60), "the terminal is as it was"
        assert process.wait(60) == 0
        assert termios.tcgetattr(terminal) == before
    finally:
        process.kill()
        process.wait()
        os.close(screen)
        os.close(terminal)


def read_until(screen: int, text: str, seconds: float) -> bool:
    seen, end = "", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([screen], [], [], 0.1)[0]:
            seen += os.read(screen, 65_536).decode(errors="replace")
            if text in seen:
                return True
    return False
