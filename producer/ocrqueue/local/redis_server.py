"""A private redis-server: on this machine only, with a password of its own, on a free port."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ocrqueue.core.connection import connect
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import BrokerUnavailable, LocalSystemFailed
from ocrqueue.local.child_process import Child, log_tail, start_child
from ocrqueue.settings import load_client_settings

HOST: Final = "127.0.0.1"
_START_S: Final = 60.0
"""A large append-only file is read before the first answer."""
_PORT_ATTEMPTS: Final = 5

_CONFIGURATION: Final = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
logfile ""
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


@dataclass(frozen=True)
class RedisServer:
    child: Child
    url: str
    """With the password."""


def start_redis(folder: Path, log: Path) -> RedisServer:
    """Start redis-server with its data in `folder` and wait until it answers. Raises LocalSystemFailed."""
    program = shutil.which("redis-server")
    if program is None:
        raise LocalSystemFailed("There is no redis-server on this machine.", remedy="apt-get install redis-server")
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(_PORT_ATTEMPTS):
        port, password = _free_port(), secrets.token_urlsafe(24)
        configuration = folder / "redis.conf"
        # a password in the arguments would show in `ps`
        write_private(configuration, _CONFIGURATION.format(host=HOST, port=port, password=password))
        child = start_child("redis-server", [program, str(configuration)], log, os.environ, folder)
        server = RedisServer(child, f"redis://:{password}@{HOST}:{port}/0")
        try:
            _wait_until_it_answers(server)
        except BaseException as error:
            child.kill()
            taken = any("Address already in use" in line for line in log_tail(log, 5))
            if not (isinstance(error, LocalSystemFailed) and taken):
                raise
        else:
            return server
    raise LocalSystemFailed("Found no free port for redis-server.", log=str(log))


def _wait_until_it_answers(server: RedisServer) -> None:
    client = connect(load_client_settings(redis_url=server.url, redis_timeout_s=1.0))
    deadline = time.monotonic() + _START_S
    try:
        while True:
            server.child.check()
            try:
                with broker_errors():
                    client.ping()
                return
            except BrokerUnavailable as error:
                if time.monotonic() > deadline:
                    raise server.child.failure(f"did not answer within {_START_S:.0f} s") from error
            time.sleep(0.02)
    finally:
        client.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, also where one with wider permissions is there."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
