"""Connections that go to a checked address only, and that end with the deadline."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from ocrqueue.addresses import AddressPolicy
from ocrqueue_worker.sources.addresses import permitted_addresses
from ocrqueue_worker.sources.deadline import Deadline


class CheckedBackend(httpcore.NetworkBackend):
    """Resolves a host, checks its addresses, and connects to one of the very addresses that it checked.

    Resolving once is what defeats DNS rebinding. The layers above still know the host by its name, so that the Host
    header, SNI and the certificate check need no help.

    Every read and write is bounded by the deadline too: httpcore's own timeouts start again with each byte, and a host
    that sends one now and then would never meet them, in the header least of all.
    """

    def __init__(self, policy: AddressPolicy, deadline: Deadline) -> None:
        self._policy = policy
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. Raises what permitted_addresses() and httpcore raise."""
        addresses = permitted_addresses(host, port, self._policy, self._deadline)
        for attempt, address in enumerate(addresses, start=1):
            try:
                stream = self._inner.connect_tcp(
                    address, port, _within(self._deadline, timeout), local_address, socket_options
                )
                return _BoundedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if attempt == len(addresses):
                    raise
        raise httpcore.ConnectError("The host has no address.")


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _within(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _within(self._deadline, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        encrypted = self._inner.start_tls(ssl_context, server_hostname, _within(self._deadline, timeout))
        return _BoundedStream(encrypted, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _within(deadline: Deadline, timeout: float | None) -> float:
    return deadline.left() if timeout is None else deadline.left(timeout)
