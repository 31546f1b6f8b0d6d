"""A TCP proxy that fails as it is told: between a program under test and its server."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

Mode = Literal["pass", "stall", "half_open", "reset", "refuse", "unavailable"]
"""
pass: everything is forwarded.
stall: connections are open, or accepted, and nothing is forwarded; once the mode changes back, what was sent flows on.
half_open: the connections of this moment stay open and silent for ever, in both directions; new ones pass.
reset: open connections are reset (a TCP RST), new ones accepted and reset.
refuse: nobody listens; open connections are reset.
unavailable: open connections are reset, and each HTTP request is answered with S3's `503 SlowDown`.
"""

_CHUNK: Final = 65536
_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST instead of FIN."""
_SLOW_DOWN: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message>'
    b"</Error>"
)

T = TypeVar("T")


@contextmanager
def proxy(target_port: int, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy on a free port of 127.0.0.1 to `host`:`target_port`, which may be down meanwhile; begins with "pass"."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    between = Proxy(loop, (host, target_port))
    try:
        yield between
    finally:
        between.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    server: socket.socket
    carried: int = 0
    """Bytes towards the server since the last cut_after()."""
    task: asyncio.Task[None] | None = None

    def reset(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            end.close()

    def close(self) -> None:
        self.client.close()
        self.server.close()


@dataclass(eq=False)
class Proxy:
    """See proxy(). Its methods may be called from any thread; what they ask for is done when they return."""

    loop: asyncio.AbstractEventLoop
    target: tuple[str, int]
    mode: Mode = "pass"
    accepted: int = 0
    """Connections accepted so far."""
    cuts: int = 0
    """Connections that cut_after() has reset so far."""
    _open: set[_Connection] = field(default_factory=set)
    _lost: list[_Connection] = field(default_factory=list)
    _cut: tuple[int, int] = (0, 0)
    """Bytes after which a connection is reset, and how many connections still are to be."""
    _together: bool = False
    _carried: int = 0
    """Bytes towards the server since the last cut_after(), in all connections."""

    def __post_init__(self) -> None:
        # Bound and never listening, it keeps the port ours while nobody listens.
        self._reserved = _bound_socket(0)
        self.port: int = self._reserved.getsockname()[1]
        self._listener: socket.socket | None = None
        self._flowing = asyncio.Event()
        self._do(self._set("pass"))

    def set(self, mode: Mode) -> None:
        """Change to `mode`."""
        self._do(self._set(mode))

    def cut_after(self, n_bytes: int, times: int = 1, *, together: bool = False) -> None:
        """Reset the next `times` connections that carry more than `n_bytes` towards the server, after that many.

        Counted from now on, in connections that are open as in new ones: in each for itself, or in all `together`.
        Works in the modes that forward; `times` 0 ends it.
        """
        self._do(self._set_cut(n_bytes, times, together))

    @property
    def connections(self) -> int:
        """How many are open, those that half_open has lost not among them."""
        return len(self._open)

    def close(self) -> None:
        """Reset all connections and free the port."""
        self._do(self._close())

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    async def _set(self, mode: Mode) -> None:
        if mode in {"reset", "refuse", "unavailable"}:
            for connection in await self._stopped():
                connection.reset()
        elif mode == "half_open":
            self._lost += await self._stopped()
        self.mode = mode
        if mode == "stall":
            self._flowing.clear()
        else:
            self._flowing.set()
        if mode == "refuse":
            self._stop_listening()
        elif self._listener is None:
            self._listener = _bound_socket(self.port)
            self._listener.listen(128)
            self.loop.add_reader(self._listener, self._accept, self._listener)

    async def _set_cut(self, n_bytes: int, times: int, together: bool) -> None:
        self._cut, self._together, self._carried = (n_bytes, times), together, 0
        for connection in self._open:
            connection.carried = 0

    async def _close(self) -> None:
        self._stop_listening()
        for connection in [*await self._stopped(), *self._lost]:
            connection.reset()
        self._reserved.close()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self.loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _stopped(self) -> list[_Connection]:
        """All open connections, no longer forwarded and no longer counted as open."""
        stopped = list(self._open)
        self._open.clear()
        for connection in stopped:
            if connection.task is not None:
                await _stop(connection.task)
        return stopped

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it has gone again
            return
        self.accepted += 1
        connection = _Connection(client, socket.socket())
        if self.mode == "reset":
            connection.reset()
            return
        for end in (connection.client, connection.server):
            end.setblocking(False)
        self._open.add(connection)
        connection.task = self.loop.create_task(self._serve(connection, unavailable=self.mode == "unavailable"))

    async def _serve(self, connection: _Connection, *, unavailable: bool) -> None:
        try:
            if unavailable:
                await self._answer_unavailable(connection.client)
            else:
                await self._forward(connection)
        except OSError:  # one end has reset or refused it: tell the other
            self._open.discard(connection)
            connection.reset()
        else:
            self._open.discard(connection)
            connection.close()

    async def _forward(self, connection: _Connection) -> None:
        await self._flowing.wait()
        await self.loop.sock_connect(connection.server, self.target)
        for end in (connection.client, connection.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        directions = [
            self.loop.create_task(self._to_server(connection)),
            self.loop.create_task(self._to_client(connection)),
        ]
        try:
            await asyncio.gather(*directions)
        finally:
            for direction in directions:
                await _stop(direction)

    async def _to_server(self, connection: _Connection) -> None:
        while data := await self.loop.sock_recv(connection.client, _CHUNK):
            await self._flowing.wait()
            limit, times = self._cut
            allowed = max(0, limit - (self._carried if self._together else connection.carried))
            if times and len(data) > allowed:
                self._cut = (limit, times - 1)
                self.cuts += 1
                await self.loop.sock_sendall(connection.server, data[:allowed])
                raise ConnectionResetError
            connection.carried += len(data)
            self._carried += len(data)
            await self.loop.sock_sendall(connection.server, data)
        await self._flowing.wait()
        connection.server.shutdown(socket.SHUT_WR)

    async def _to_client(self, connection: _Connection) -> None:
        while data := await self.loop.sock_recv(connection.server, _CHUNK):
            await self._flowing.wait()
            await self.loop.sock_sendall(connection.client, data)
        await self._flowing.wait()
        connection.client.shutdown(socket.SHUT_WR)

    async def _answer_unavailable(self, client: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (data := await self.loop.sock_recv(client, _CHUNK)):
                return
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        missing = int(length[1]) - len(body) if length else 0
        if re.search(rb"\r\nexpect: *100-continue", head, re.IGNORECASE):
            missing = 0
        while missing > 0 and (data := await self.loop.sock_recv(client, _CHUNK)):
            missing -= len(data)
        text = b"" if head.startswith(b"HEAD ") else _SLOW_DOWN
        await self.loop.sock_sendall(
            client,
            b"HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(text), text),
        )


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    bound.setblocking(False)
    return bound


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError, OSError):
        await task
