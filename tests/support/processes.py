"""Real processes for the tests: a redis-server of their own, and workers as an operator starts them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
import redis
from pydantic import SecretStr

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings, load_worker_settings


def _candidate_ports() -> Iterator[int]:
    """Below the ports that the system hands out to connections, and not those of the other pytest processes.

    Where two runs are at work at once, TEST_PORT_RANGE counts the ranges of the one before those of the other.
    """
    number, count = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")), 1000
    number += int(os.environ.get("TEST_PORT_RANGE", "0"))
    first = 15_000 + number % 17 * count
    shift = random.randrange(count)
    return cycle([*range(first + shift, first + count), *range(first, first + shift)])


_CANDIDATE_PORTS: Final = _candidate_ports()


def free_port() -> int:
    """For a server to come, also one that goes down and comes back: neither a connection nor another test gets it."""
    for port in _CANDIDATE_PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the candidates have no end")


def need_program(name: str) -> str:
    """The program's path; without it a test is skipped here and fails in CI."""
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed")
    return path


def wait_until(true: Callable[[], object], seconds: float, what: str) -> None:
    end, is_late = time.monotonic() + seconds, False
    while not true():
        if is_late:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
        # who was held up meanwhile, or looked for long, looks once more
        is_late = time.monotonic() > end


@dataclass
class RedisServer:
    """A redis-server with a password that can be killed and started again: on its port, with its folder."""

    folder: Path
    port: int
    append_only: bool
    password: str = "secret-of-the-tests"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis.from_url(self.url, **options)

    def start(self) -> None:
        """Start it and wait until it answers."""
        persistence = ("--appendonly", "yes", "--appendfsync", "everysec") if self.append_only else ()
        self.process = subprocess.Popen(
            [
                *(need_program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--requirepass", self.password, "--dir", str(self.folder), "--maxmemory-policy", "noeviction"),
                *("--logfile", str(self.folder / "redis.log"), *persistence),
            ]
        )
        with self.client() as client:
            wait_until(lambda: _answers(client), 60, "redis-server answers")

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def redis_server(folder: Path, *, append_only: bool = False) -> Iterator[RedisServer]:
    """A redis-server: without persistence, or with an append-only file synced every second."""
    server = RedisServer(folder, free_port(), append_only)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:  # BusyLoadingError too
        return False


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment with OCRQUEUE_* replaced by `settings` (names without the prefix)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OCRQUEUE_")}
    return kept | {f"OCRQUEUE_{name.upper()}": str(value) for name, value in settings.items()}


def unmeasured() -> dict[str, str]:
    """This process's environment for a program that runs no code of ours: coverage would only slow it down."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[int]:
        """The pids of the pool's children."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def running_children(self) -> list[int]:
        """Those that are not dead and only not yet buried."""
        found = []
        for pid in self.children():
            with suppress(OSError):  # buried since
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(pid)
        return found

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def worker(
    settings: Mapping[str, object],
    folder: Path,
    *arguments: str,
    command: tuple[str, ...] = ("-m", "ocrqueue_worker"),
    python: Path | str = sys.executable,
    up_within_s: float = 120,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Worker]:
    """A worker process in a process group of its own; yields once it has announced itself.

    `variables`: of its environment, beside the settings.
    """
    need_program("tesseract")
    log = folder / f"worker-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [python, *command, *arguments],
            env=environment(settings) | dict(variables),
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    started = Worker(process, log)
    try:
        with OcrQueue(load_worker_settings(**settings)) as queue:
            wait_until(
                lambda: not started.alive() or _announced(queue, process.pid),
                up_within_s,
                f"worker is up: {log.read_text()}",
            )
        assert started.alive(), log.read_text()
        yield started
    finally:
        if started.alive():
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _announced(queue: OcrQueue, pid: int) -> bool:
    return any(worker.pid == pid for workers in queue.engines().values() for worker in workers)


def as_environment(settings: WorkerSettings) -> dict[str, object]:
    """The settings that differ from the defaults, as `environment` and `worker` take them."""
    values: dict[str, object] = {}
    for name, field in WorkerSettings.model_fields.items():
        value = getattr(settings, name)
        if value != field.default:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            values[name] = ",".join(plain) if isinstance(plain, tuple) else plain
    return values
