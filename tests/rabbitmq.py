"""A real rabbitmq-server for the tests: a node of its own, on free ports, with its data in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import amqp

from tests.support.processes import free_port, need_program, wait_until

_PROGRAM: Final = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""The one on PATH insists on the user rabbitmq and its folders."""
_START_S: Final = 90


@dataclass
class RabbitMQServer:
    """A node that can be killed, frozen and started again: on its port, with its folder."""

    folder: Path
    port: int
    user: str = "tests"
    password: str = "secret-of-the-tests"
    epmd_port: int = field(default_factory=free_port)
    dist_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    parameters: str = ""
    """Of the application `rabbit`, as Erlang's command line has them: those too that rabbitmq.conf does not know."""

    @property
    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}//"

    def connection(self) -> amqp.Connection:
        """Open."""
        connection = amqp.Connection(
            host=f"127.0.0.1:{self.port}", userid=self.user, password=self.password, connect_timeout=2, read_timeout=5
        )
        connection.connect()
        return connection

    def start(self) -> None:
        """Start it and wait until it answers."""
        need_program("rabbitmq-server")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"default_user = {self.user}\ndefault_pass = {self.password}\n"
            # of the machine's memory and disk others take what they need
            "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")
        with (self.folder / "start.log").open("ab") as log:
            self.process = subprocess.Popen(
                [_PROGRAM],
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
                    "HOME": str(self.folder),
                    # otherwise it lands in the folder that the tests are started from
                    "ERL_CRASH_DUMP": str(self.folder / "erl_crash.dump"),
                    "ERL_EPMD_PORT": str(self.epmd_port),
                    "RABBITMQ_NODENAME": f"tests-{self.port}@localhost",
                    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": self.parameters,
                    "RABBITMQ_DIST_PORT": str(self.dist_port),
                    "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
                    "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
                    "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
                    "RABBITMQ_LOG_BASE": str(self.folder / "log"),
                    "RABBITMQ_PID_FILE": str(self.folder / "pid"),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers, _START_S, "rabbitmq-server answers")

    def signal(self, number: signal.Signals) -> None:
        """To all its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "start.log").read_text()
        try:
            self.connection().close()
        except OSError:
            return False
        return True


@contextmanager
def rabbitmq_server(folder: Path, parameters: str = "") -> Iterator[RabbitMQServer]:
    server = RabbitMQServer(folder, free_port(), parameters=parameters)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        _end_epmd(server)


def _end_epmd(server: RabbitMQServer) -> None:
    """Erlang's name server, which the node has started as a daemon."""
    subprocess.run(
        [need_program("epmd"), "-port", str(server.epmd_port), "-kill"], check=False, stdout=subprocess.DEVNULL
    )


def main() -> int:
    """Start a server and run pytest with it as the broker: `python -m tests.rabbitmq [ARGUMENTS of pytest]`."""
    arguments = sys.argv[1:] or ["--numprocesses", "3", "--dist", "loadfile", "tests/acceptance"]
    with tempfile.TemporaryDirectory(prefix="rabbitmq-") as folder, rabbitmq_server(Path(folder)) as server:
        environment = {**os.environ, "OCRQUEUE_BROKER_URL": server.url}
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
