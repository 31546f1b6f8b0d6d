"""Workers kept running as an init system keeps a service: one that has ended is started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.processes import Worker, environment
from tests.support.proxy import Proxy

_LOOK_EVERY_S: Final = 0.1
_RESTART_AFTER_S: Final = 0.2
_STOP_S: Final = 60.0
SCRATCH_MIB: Final = 2
"""The size of the file system that a worker has for its temporary files."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker's main process ended."""

    node: str
    status: int
    asked: bool
    """Whether it was killed or told to end."""


@dataclass(eq=False)
class WorkerService:
    """One worker, restarted whenever it ends. Its methods may be called from any thread."""

    name: str
    settings: Mapping[str, object]
    """OCRQUEUE_* without the prefix."""
    arguments: tuple[str, ...]
    folder: Path
    redis: Proxy
    """Its own way to Redis."""
    running: Worker | None = None
    generation: int = 0
    exits: list[Exit] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    """Process groups of all generations."""
    clock_skew_s: int = 0
    _ending: bool = False
    """It was asked to end by the one who looks on."""
    _stopped: bool = False
    _ended_at: float = 0.0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def node(self) -> str:
        """The worker's name in the records."""
        return f"{self.name}-{self.generation}@faults"

    @property
    def log_files(self) -> list[Path]:
        """One for each generation, in order."""
        return [self._log(number) for number in range(1, self.generation + 1)]

    def _log(self, generation: int) -> Path:
        return self.folder / f"{self.name}-{generation}.log"

    @property
    def scratch(self) -> Path:
        return self.folder / f"scratch-{self.name}"

    def scratch_from_outside(self) -> Path | None:
        """The scratch of the worker that runs now; None where it is not a file system of its own."""
        if self.running is None or not can_mount():
            return None
        return Path(f"/proc/{self.running.pid}/root") / self.scratch.relative_to("/")

    def start(self) -> None:
        with self._lock:
            self.generation += 1
            self._ending = False
            self.scratch.mkdir(exist_ok=True)
            log = self._log(self.generation)
            worker = [sys.executable, "-m", "ocrqueue_worker", *self.arguments, "--hostname", self.node]
            variables = environment(self.settings) | {"TMPDIR": str(self.scratch)} | fake_clock(self.clock_skew_s)
            with log.open("wb") as out:
                process = subprocess.Popen(
                    _with_small_scratch(worker, self.scratch),
                    env=variables,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    start_new_session=True,
                )
            self.running = Worker(process, log)
            self.groups.append(process.pid)

    def restart(self, clock_skew_s: int) -> None:
        """End it in order; what is started in its stead has its clock ahead by so much."""
        with self._lock:
            self.clock_skew_s = clock_skew_s
            self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """To the main process."""
        with self._lock, suppress(ProcessLookupError):
            self._ending = self._ending or number not in {signal.SIGSTOP, signal.SIGCONT}
            if self.running is not None:
                os.kill(self.running.pid, number)

    def is_to_drain(self) -> None:
        """Somebody has told the worker that runs."""
        with self._lock:
            self._ending = True

    def send_to_group(self, number: signal.Signals) -> None:
        """To the main process and its children."""
        with self._lock, suppress(ProcessLookupError):
            self._ending = self._ending or number not in {signal.SIGSTOP, signal.SIGCONT}
            if self.running is not None:
                os.killpg(self.running.pid, number)

    def kill_child(self) -> bool:
        """SIGKILL to one child of the pool; false if there is none."""
        with self._lock, suppress(OSError):
            for child in self.running.running_children() if self.running else []:
                os.kill(child, signal.SIGKILL)
                return True
        return False

    def tend(self) -> None:
        """Start it again a moment after it has ended."""
        with self._lock:
            if self._stopped:
                return
            if self.running is not None and (status := self.running.process.poll()) is not None:
                self.exits.append(Exit(self.node, status, self._ending))
                self.running, self._ended_at = None, time.monotonic()
            if self.running is None and time.monotonic() - self._ended_at >= _RESTART_AFTER_S:
                self.start()

    def ask_to_end(self) -> None:
        """SIGTERM, and no restart."""
        with self._lock:
            self._stopped = True
            self.send_to_group(signal.SIGCONT)
            self.send(signal.SIGTERM)

    def wait(self) -> int | None:
        """The status with which it ended; None if it did not within a minute: then its log says what it was at."""
        if self.running is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            return self.running.process.wait(_STOP_S)
        self.running.process.send_signal(signal.SIGUSR1)  # Celery logs the stack of every thread
        time.sleep(1)
        return None

    def orphans(self) -> list[int]:
        """Pids of earlier generations that still run, though their main process has ended."""
        ended = set(self.groups[:-1] if self.running is not None else self.groups)
        return [pid for pid, group, state in _processes() if group in ended and state not in {"Z", "X"}]

    def kill_all(self) -> None:
        """SIGKILL whatever is left of any generation."""
        for group in self.groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self.running is not None:
            self.running.process.wait()


class Supervisor(threading.Thread):
    """Tends services until it is told to stop."""

    def __init__(self, services: list[WorkerService]) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.services = services
        self.told = threading.Event()

    def run(self) -> None:
        while not self.told.wait(_LOOK_EVERY_S):
            for service in self.services:
                service.tend()

    def stop(self) -> None:
        self.told.set()
        if self.is_alive():
            self.join()


def _processes() -> Iterator[tuple[int, int, str]]:
    """The pid, process group and state (proc(5)) of every process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
            yield int(stat.parent.name), int(group), state


@cache
def can_mount() -> bool:
    """Whether a process may have a small file system of its own here, which can be filled."""
    tried = subprocess.run(
        _with_mount(["true"], Path("/tmp")),  # within a mount namespace that ends at once
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0


def _with_small_scratch(command: list[str], scratch: Path) -> list[str]:
    return _with_mount(command, scratch) if can_mount() else command


def _with_mount(command: list[str], folder: Path) -> list[str]:
    """`command` with a tmpfs of SCRATCH_MIB at `folder` that only it sees; it keeps its process id."""
    script = f'mount -t tmpfs -o size={SCRATCH_MIB}m tmpfs "$0" && exec "$@"'
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    return [*namespace, "sh", "-c", script, str(folder), *command]


@cache
def libfaketime() -> Path | None:
    """The library that sets a program's clock (Debian package `faketime`), if it is here."""
    machine = shutil.which("faketime") and next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    return machine or None


def fake_clock(ahead_s: int) -> dict[str, str]:
    """The environment of a process whose wall clock is ahead by so much; its monotonic clock is the machine's."""
    library = libfaketime()
    if ahead_s == 0 or library is None:
        return {}
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{ahead_s:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # it moves the times of files too: compiled modules would be written anew for one clock and for the other
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).with_name("faked_clock")), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
