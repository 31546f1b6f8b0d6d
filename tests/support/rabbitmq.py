"""A real RabbitMQ for the tests: a node of its own, with ports, cookie, folders and port mapper of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from kombu import Connection

from tests.support.processes import free_port, wait_until

_PROGRAM: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's own start script; the one on PATH wants to be root, and becomes another user."""
_UP_WITHIN_S: Final = 180


def need_rabbitmq() -> Path:
    """Without it a test is skipped here and fails in CI."""
    found = _PROGRAM if _PROGRAM.exists() else shutil.which("rabbitmq-server")
    if found is None or shutil.which("epmd") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("rabbitmq-server is not installed")
    return Path(found)


@dataclass
class RabbitServer:
    """One that can be killed and started again: on its port, with its folder."""

    folder: Path
    port: int
    distribution_port: int
    epmd_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "rabbitmq.out").open("ab") as out:
            self.process = subprocess.Popen(
                [need_rabbitmq()],
                env=self._environment(),
                cwd=self.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers, _UP_WITHIN_S, f"rabbitmq-server answers: {self.folder}")

    def kill(self) -> None:
        """SIGKILL, of all its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "rabbitmq.out").read_text(errors="replace")[-3000:]
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return kept | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "env.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }


@contextmanager
def rabbitmq_server(folder: Path) -> Iterator[RabbitServer]:
    need_rabbitmq()
    cookie = folder / ".erlang.cookie"
    cookie.write_text(uuid.uuid4().hex)
    cookie.chmod(0o400)
    (folder / "plugins").write_text("[].\n")
    server = RabbitServer(folder, free_port(), free_port(), free_port())
    # in the foreground: the node would start one that outlives it
    mapper = subprocess.Popen(["epmd", "-port", str(server.epmd_port), "-address", "127.0.0.1"])
    try:
        server.start()
        yield server
    finally:
        server.kill()
        mapper.kill()
        mapper.wait()
