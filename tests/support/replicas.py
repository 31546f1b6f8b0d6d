"""Replicas of the gateway as processes of their own, and nginx before them as the documentation has it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ocrqueue.settings import WorkerSettings
from tests.support.documentation import ROOT
from tests.support.processes import as_environment, environment, free_port, need_program, wait_until


@dataclass(frozen=True)
class Replica:
    """`python -m ocrqueue_gateway`."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def memory_bytes(self, what: str = "VmRSS") -> int:
        """Resident; VmHWM: the most that it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def tell_to_end(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def replica(settings: WorkerSettings, folder: Path, name: str = "gateway", **given: object) -> Iterator[Replica]:
    """`given`: OCRQUEUE_GATEWAY_* in lower case and without that. It is told to end with the block."""
    url_file, log = folder / f"{name}.url", folder / f"{name}.log"
    url_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ocrqueue_gateway", "--port", "0", "--url-file", str(url_file)]
    more = {f"OCRQUEUE_GATEWAY_{key.upper()}": str(value) for key, value in given.items()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment(as_environment(settings)) | more
        )
    try:
        wait_until(lambda: url_file.exists() or process.poll() is not None, 60, "the gateway listens")
        assert process.poll() is None, log.read_text()
        yield Replica(process, url_file.read_text().strip(), log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


def documented_nginx() -> str:
    """The configuration that docs/deployment.md shows."""
    (found,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/deployment.md").read_text(), re.DOTALL)
    return str(found)


@contextmanager
def nginx(ports: Sequence[int], folder: Path) -> Iterator[str]:
    """The URL of nginx before replicas on these two ports, by the documented configuration, without TLS."""
    program = need_program("nginx")
    port = free_port()
    server = documented_nginx()
    for shown, used in zip((8787, 8788), ports, strict=True):
        server = server.replace(f"127.0.0.1:{shown} ", f"127.0.0.1:{used} ")
    server = server.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    server = re.sub(r"^\s*ssl_certificate.*\n", "", server, flags=re.MULTILINE)
    folder.mkdir(exist_ok=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        "worker_rlimit_nofile 8192;\nevents { worker_connections 4096; }\n"
        f"http {{\naccess_log off;\n{temporary}\n{server}}}\n"
    )
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, "-e", f"{folder}/error.log", "-c", str(configuration)], stdout=output, stderr=output
        )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, 60, "nginx listens")
        assert process.poll() is None, (folder / "output").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def listens(port: int) -> bool:
    """Whether somebody does, at this port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
