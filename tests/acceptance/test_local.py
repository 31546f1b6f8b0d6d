"""`ocrqueue local` and the demo: all of it starts, all of it ends, whatever happens to whom."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from ocrqueue.local import redis_server
from tests.support.processes import free_port, need_program, wait_until

ROOT = Path(__file__).parents[2]
RECEIPT = ROOT / "samples" / "receipt.jpg"
OCRQUEUE = str(Path(sys.executable).with_name("ocrqueue"))
LOCAL = (OCRQUEUE, "local", "--engine", "null", "--concurrency", "1", "--no-http", "--json")


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("redis-server", "tesseract"):
        need_program(program)
    monkeypatch.setenv("OCRQUEUE_SHUTDOWN_GRACE_S", "1")


@contextmanager
def local(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`ocrqueue local` in `folder`, and what it said when it was ready."""
    process = subprocess.Popen(
        # the tests may have been started by nohup, and that a signal is ignored is inherited
        ["env", "--default-signal=HUP", *LOCAL, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def ocrqueue(ready: dict[str, Any], *arguments: str) -> str:
    return subprocess.run(
        [OCRQUEUE, *arguments],
        env=os.environ | ready["variables"],
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout


def left_of(folder: Path) -> list[str]:
    """Command lines of processes of a system whose data is in `folder`: by their working folder or output."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            places = [str((process / name).readlink()) for name in ("cwd", "fd/1", "fd/2")]
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if any(place.startswith(str(folder)) for place in places):
            found.append(line)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_all_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with local(tmp_path) as (process, ready):
        assert len(left_of(tmp_path)) >= 4  # itself, Redis, the worker and its child
        assert set(ready["workers"]) == {"null"}
        process.send_signal(number)
        _, said = process.communicate(timeout=100)
    assert process.returncode == 0
    assert said.splitlines()[-1] == "ended"
    assert left_of(tmp_path) == []
    assert not (tmp_path / "ocrqueue-data/env").exists()


def test_nothing_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    with local(tmp_path) as (process, ready):
        ocrqueue(ready, "submit", str(RECEIPT), "-e", "null", "-o", "delay_s=60")
        process.kill()
        process.wait()
        wait_until(lambda: not left_of(tmp_path), 100, "all processes have ended")


def answers(url: str) -> bool:
    with urlopen(f"{url}/healthz", timeout=60) as answer:
        return bool(answer.status == 200)


def test_two_that_start_at_the_same_moment_both_serve_http(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as threads, ExitStack() as systems:
        starting = [threads.submit(local, folder, "--http") for folder in folders]
        both = list(threads.map(systems.enter_context, [each.result() for each in starting]))
        urls = {ready["url"] for _, ready in both}
        assert len(urls) == 2
        assert all(answers(url) for url in urls)
        assert (folders[0] / "ocrqueue-data/url").read_text().strip() in urls
        for process, _ in both:
            process.terminate()
        for process, _ in both:
            assert "ended" in process.communicate(timeout=100)[1]
    assert left_of(tmp_path) == []
    assert not list(tmp_path.glob("*/ocrqueue-data/url"))


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [OCRQUEUE, "local", "--engine", "null", "--port", port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False, timeout=200)
    assert done.returncode == 1
    assert f"port {port}: Address already in use" in done.stderr
    assert left_of(tmp_path) == []


def test_its_secrets_are_for_this_user_alone(tmp_path: Path) -> None:
    with local(tmp_path) as (_, ready):
        data = tmp_path / "ocrqueue-data"
        password = ready["variables"]["OCRQUEUE_REDIS_URL"].split(":")[2].partition("@")[0]
        assert len(password) >= 24
        assert not [line for line in left_of(tmp_path) if password in line]
        for file in (data / "env", data / "redis/redis.conf"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert password in file.read_text()
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        shell = subprocess.run(
            ["sh", "-c", f". {data}/env && env"], capture_output=True, encoding="utf-8", check=True
        ).stdout
        assert all(f"{name}={value}" in shell.splitlines() for name, value in ready["variables"].items())


def test_used_again_it_has_the_jobs_of_before_and_reads_what_was_left(tmp_path: Path) -> None:
    with local(tmp_path) as (process, ready):
        done = ocrqueue(ready, "submit", str(RECEIPT), "-e", "null").strip()
        ocrqueue(ready, "wait", done)
        left = [ocrqueue(ready, "submit", str(RECEIPT), "-e", "null", "-o", "delay_s=3").strip() for _ in range(2)]
        process.terminate()
        process.communicate(timeout=100)
    with local(tmp_path) as (process, ready):
        assert "null1" in ocrqueue(ready, "result", done)
        ocrqueue(ready, "wait", *left, "--timeout", "100")


def test_a_folder_has_one_system_at_a_time(tmp_path: Path) -> None:
    with local(tmp_path) as (_, ready):
        second = subprocess.run([OCRQUEUE, "local"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
        assert second.returncode == 1
        assert "error: local.failed: Another `ocrqueue local` runs in" in second.stderr
        assert json.loads(ocrqueue(ready, "engines", "--json"))["null"]["workers"]
        assert (tmp_path / "ocrqueue-data/env").exists()


@pytest.mark.parametrize("victim", ["worker", "redis"])
def test_when_a_part_ends_by_itself_all_ends_and_says_so(tmp_path: Path, victim: str) -> None:
    with local(tmp_path) as (process, ready):
        if victim == "worker":
            os.kill(ready["workers"]["null"], signal.SIGKILL)
        else:
            redis_port = ready["variables"]["OCRQUEUE_REDIS_URL"].rpartition(":")[2].partition("/")[0]
            os.kill(listener(int(redis_port)), signal.SIGKILL)
        _, said = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "ended by itself with status -9" in said.splitlines()[-1]
    assert left_of(tmp_path) == []


def listener(port: int) -> int:
    """The process id of the redis-server on `port`: its title names the port."""
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended since
            if process.name.isdigit() and f"127.0.0.1:{port}".encode() in (process / "cmdline").read_bytes():
                return int(process.name)
    raise AssertionError(f"no redis-server on {port}")


def test_what_is_missing_is_named_with_its_remedy(tmp_path: Path) -> None:
    done = subprocess.run(
        [OCRQUEUE, "local"],
        cwd=tmp_path,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert "apt-get install redis-server" in done.stderr
    unknown = subprocess.run(
        [OCRQUEUE, "local", "-e", "nonesuch"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert unknown.returncode == 1
    assert "engine.unknown" in unknown.stderr
    assert left_of(tmp_path) == []


def test_a_port_that_is_taken_meanwhile_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(redis_server, "_free_port", lambda: next(ports))
        server = redis_server.start_redis(tmp_path / "redis", tmp_path / "redis.log")
    try:
        assert server.child.process.poll() is None
        with pytest.raises(StopIteration):
            next(ports)
    finally:
        server.child.kill()


@pytest.mark.slow
def test_the_demo_reads_every_sample_and_leaves_nothing_running(tmp_path: Path) -> None:
    output = tmp_path / "output"
    done = subprocess.run(
        [sys.executable, ROOT / "samples/demo.py", "--output", output],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    samples = sorted(path.stem for path in (ROOT / "samples").glob("*.json"))
    assert samples
    for name in samples:
        assert f"{name}." in done.stdout
        assert (output / "results" / f"{name}.txt").stat().st_size > 20
        assert list((output / "overlays").glob(f"{name}*.p[nd][gf]"))
        assert (output / "results" / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
        assert list((output / "crops" / name).glob("p001-w0001*.png"))
    assert left_of(tmp_path) == []
    shutil.rmtree(output)
