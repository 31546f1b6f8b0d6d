"""LocalSystem: Redis, workers, storage and the gateway, started together and ended in order."""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from ocrqueue.client import OcrQueue
from ocrqueue.errors import LocalSystemFailed, how_to_install
from ocrqueue.local import parent_watchdog
from ocrqueue.local.child_process import Child, start_child
from ocrqueue.local.reclaiming import Reclaiming
from ocrqueue.local.redis_server import HOST, RedisServer, start_redis, write_private
from ocrqueue.local.webhook_sending import WebhookSending, can_send
from ocrqueue.settings import WorkerSettings, load_worker_settings

_LIVE_S: Final = 120.0
"""An engine may have a large model to load."""
_AFTER_GRACE_S: Final = 10.0
_REDIS_END_S: Final = 10.0
_GATEWAY: Final = "ocrqueue_gateway"
"""By its name alone, as the worker: it is another package."""


def has_gateway() -> bool:
    """Whether the package ocrqueue-gateway is installed here."""
    return find_spec(_GATEWAY) is not None


class LocalSystem:
    """The whole system on one machine, for as long as a `with` lasts.

    >>> with LocalSystem(Path("data"), engines=["tesseract"]) as system:      # doctest: +SKIP
    ...     with OcrQueue(system.settings) as queue:
    ...         print(queue.submit("scan.png").result(timeout=60).text)

    In the folder `data`: `env` (variables for other programs, readable by this user only), `redis/`, `storage/`,
    `logs/`, and `url`, where there is a gateway. Used again, it has the jobs and results of before. Other settings come
    from OCRQUEUE_* as everywhere.
    """

    def __init__(
        self,
        data: Path,
        engines: Sequence[str] = ("tesseract",),
        concurrency: int | None = None,
        *,
        http: bool = False,
        port: int | None = None,
    ) -> None:
        """One worker for each engine, `concurrency` jobs at a time each (None: one a core).

        `http`: also a gateway, on `port` (0: any that is free; None: 8787, or the next one that is free).
        """
        self.data = data.absolute()
        self.engines = tuple(dict.fromkeys(engines))
        self.concurrency = concurrency
        self.http = http
        self.port = port
        self.url: str | None = None
        """Of the gateway, while there is one."""
        self.gateway: Child | None = None
        self.workers: dict[str, Child] = {}
        self.drained: list[str] = []
        """Engines whose workers were told to end, by `ocrqueue workers drain`, and have."""
        self.redis: RedisServer | None = None
        self._reclaiming: Reclaiming | None = None
        self._webhooks: WebhookSending | None = None
        self._lock: TextIO | None = None
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start all and wait until each worker takes jobs. Raises LocalSystemFailed; then nothing is left running."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def variables(self) -> dict[str, str]:
        """The OCRQUEUE_* variables with which another program uses this system. They hold the password."""
        if self.redis is None:
            raise LocalSystemFailed("The system is not running.", remedy="Use it in a `with`.")
        return {
            "OCRQUEUE_REDIS_URL": self.redis.url,
            "OCRQUEUE_STORAGE": (self.data / "storage").as_uri(),
            "OCRQUEUE_KEY_PREFIX": "",
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a program that uses this system."""
        return {**os.environ, **self.variables}

    @property
    def settings(self) -> WorkerSettings:
        """For an OcrQueue in this process."""
        fields = {name.removeprefix("OCRQUEUE_").lower(): value for name, value in self.variables.items()}
        return load_worker_settings(**fields)

    def exports(self) -> list[str]:
        """`variables` as lines for a shell."""
        return [f"export {name}={shlex.quote(value)}" for name, value in self.variables.items()]

    @property
    def env_file(self) -> Path:
        return self.data / "env"

    def check(self) -> None:
        """Raise LocalSystemFailed if a process has ended by itself; not for a worker that was told to, as by a drain.

        Such a one is no longer in `workers`.
        """
        for engine, worker in list(self.workers.items()):
            if worker.has_ended_well():
                del self.workers[engine]
                self.drained.append(engine)
                self._tell_guard(-worker.pid)
        self._check_all()

    def _check_all(self) -> None:
        for child in self._children():
            child.check()

    def stop(self) -> None:
        """End the workers, then Redis. Running jobs get `shutdown_grace_s` seconds; the rest goes back to the queue.

        If this is interrupted, all is killed at once.
        """
        try:
            for child in self._but_redis():
                child.ask_to_end()
            if self._webhooks is not None:
                self._webhooks.stop()
                self._webhooks = None
            if self._reclaiming is not None:
                self._reclaiming.stop()
                self._reclaiming = None
            for child in self._but_redis():
                child.wait_or_kill(self._grace_s)
            if self.redis is not None:
                self.redis.child.ask_to_end()
                self.redis.child.wait_or_kill(_REDIS_END_S)
        finally:
            for child in self._children():
                child.kill()
            if self._guard is not None:
                with suppress(BrokenPipeError):
                    self._guard.communicate(parent_watchdog.DONE)
                self._guard = None
            self.workers.clear()
            self.redis = self.gateway = self.url = None
            if self._lock is not None:
                # without the lock the file is that of another system
                self.env_file.unlink(missing_ok=True)
                self._url_file.unlink(missing_ok=True)
                self._lock.close()
                self._lock = None

    @property
    def _grace_s(self) -> float:
        return load_worker_settings().shutdown_grace_s + _AFTER_GRACE_S

    def _children(self) -> list[Child]:
        return [*self._but_redis(), *([self.redis.child] if self.redis else [])]

    def _but_redis(self) -> list[Child]:
        return [*self.workers.values(), *([self.gateway] if self.gateway else [])]

    @property
    def _url_file(self) -> Path:
        return self.data / "url"

    def _start(self) -> None:
        if find_spec("ocrqueue_worker") is None:
            raise LocalSystemFailed(
                "The package with the workers is not installed here.",
                remedy=how_to_install(self.engines),
            )
        if self.http and not has_gateway():
            raise LocalSystemFailed(
                "No gateway is installed here: it is another package.",
                remedy="pip install ocrqueue-gateway, or do without: --no-http.",
            )
        logs = self.data / "logs"
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            logs.mkdir(exist_ok=True)
            self._lock = _lock(self.data / "lock")
        except OSError as error:
            raise LocalSystemFailed(
                f"Cannot use the folder {self.data}: {error.strerror}.", remedy="Choose another folder."
            ) from error
        self._guard = subprocess.Popen(
            [sys.executable, "-I", parent_watchdog.__file__, str(self._grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.redis = start_redis(self.data / "redis", logs / "redis.log")
        self._tell_guard(self.redis.child.pid)
        with OcrQueue(self.settings) as queue:
            queue.storage.ensure()
            for engine in self.engines:
                self.workers[engine] = self._start_worker(engine, logs / f"worker-{engine}.log")
                self._tell_guard(self.workers[engine].pid)
            if self.http:
                self._url_file.unlink(missing_ok=True)
                self.gateway = self._start_gateway(logs / "gateway.log")
                self._tell_guard(self.gateway.pid)
            self._wait_until_live(queue)
        if self.gateway is not None:
            self.url = self._wait_for_url(self.gateway)
        self._reclaiming = Reclaiming(self.settings)
        if can_send():
            self._webhooks = WebhookSending(self.settings)
        write_private(self.env_file, "".join(f"{line}\n" for line in self.exports()))

    def _tell_guard(self, process: int) -> None:
        """It is there; or, with a minus, it has ended."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.write(f"{process}\n")
            self._guard.stdin.flush()

    def _start_worker(self, engine: str, log: Path) -> Child:
        # the module by its name alone: what apps install does not import what workers install
        command = [sys.executable, "-m", "ocrqueue_worker", "--engine", engine]
        if self.concurrency is not None:
            command += ["--concurrency", str(self.concurrency)]
        return start_child(f"The {engine} worker", command, log, self.environment)

    def _start_gateway(self, log: Path) -> Child:
        """It takes its port itself, so that nobody comes between, and writes where it listens."""
        command = [sys.executable, "-m", _GATEWAY, "--host", HOST, "--url-file", str(self._url_file)]
        command += ["--next-port"] if self.port is None else ["--port", str(self.port)]
        return start_child("The gateway", command, log, self.environment)

    def _wait_for_url(self, gateway: Child) -> str:
        deadline = time.monotonic() + _LIVE_S
        while not self._url_file.exists():
            self._check_all()
            if time.monotonic() > deadline:
                raise gateway.failure(f"was not ready within {_LIVE_S:.0f} s")
            time.sleep(0.05)
        return self._url_file.read_text(encoding="utf-8").strip()

    def _wait_until_live(self, queue: OcrQueue) -> None:
        deadline = time.monotonic() + _LIVE_S
        waiting = dict(self.workers)
        while waiting:
            self._check_all()
            live = {worker.pid for workers in queue.engines().values() for worker in workers}
            # by process id: a worker of an earlier run in the same folder may still count as live
            waiting = {engine: child for engine, child in waiting.items() if child.pid not in live}
            if waiting and time.monotonic() > deadline:
                raise next(iter(waiting.values())).failure(f"was not ready within {_LIVE_S:.0f} s")
            time.sleep(0.05 if waiting else 0)


def _lock(path: Path) -> TextIO:
    """Held until it is closed, or the process ends. Raises LocalSystemFailed if another process holds it."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise LocalSystemFailed(
            f"Another `ocrqueue local` runs in {path.parent}.", remedy="Use it, or choose another folder."
        ) from None
    return file
