"""uvicorn as a replica needs it: it says where it listens, and when it is told to end it keeps nobody waiting."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from ocrqueue_gateway.ending import begin_ending

_BACKLOG: Final = 2048
_PORTS_TRIED: Final = 100


class Server(uvicorn.Server):
    """Serves one application.

    At SIGTERM it takes no more connections, and `begin_ending` tells who waits for a job: they are answered at once
    with what is known, and ask another replica.
    """

    def __init__(self, app: FastAPI, config: uvicorn.Config, on_ready: Callable[[], None] = lambda: None) -> None:
        """`on_ready` is called once requests are answered."""
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        begin_ending(self._app)
        await super().shutdown(sockets)


def listen(host: str, port: int, *, or_next: bool = False) -> socket.socket:
    """A socket that listens: nobody else can take its port any more. Port 0 is any that is free.

    `or_next`: where the port is taken, the next one that is free. Raises OSError.
    """
    for candidate in range(port, min(port + _PORTS_TRIED, 65536)):
        try:
            return _bound(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not or_next:
                raise
    raise OSError(errno.EADDRINUSE, f"Ports {port} to {candidate} are taken")


def _bound(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off for sockets that name TCP alone, and with it each answer would take 40 ms:
    # socket.create_server() names none
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        # only now the port is ours alone: many may have bound to it
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Where requests to the socket go."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def write_whole(path: Path, text: str) -> None:
    """Who finds the file finds all of it."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
