"""Many requests over kept connections, at little cost: the client is not to be what is measured."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit


class _Connection(asyncio.Protocol):
    """One request after the other, for as long as `next_request` has any."""

    def __init__(self, next_request: Callable[[], bytes | None], statuses: Counter[int]) -> None:
        self._next_request = next_request
        self._statuses = statuses
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._next_request()
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._statuses[int(head[9:12])] += 1
            self._received = b""
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def post_request(url: str, body: bytes) -> bytes:
    """Of JSON."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def answered_a_second(url: str, body: bytes, count: int, connections: int) -> tuple[float, Counter[int]]:
    """How many requests are answered a second, and with which statuses."""
    return asyncio.run(_answered(url, body, count, connections))


async def _answered(url: str, body: bytes, count: int, connections: int) -> tuple[float, Counter[int]]:
    parts = urlsplit(url)
    request = post_request(url, body)
    left = count
    statuses: Counter[int] = Counter()

    def next_request() -> bytes | None:
        nonlocal left
        left -= 1
        return request if left >= 0 else None

    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: _Connection(next_request, statuses), parts.hostname, parts.port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in opened))
    return statuses.total() / (time.perf_counter() - begin), statuses
