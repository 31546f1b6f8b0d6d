"""uvicorn's HTTP with two more limits: how long headers may take to come, and how long a client may read nothing."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """A connection that says nothing, or that reads nothing, is closed."""

    headers_timeout_s: ClassVar[float] = 15.0
    send_timeout_s: ClassVar[float] = 60.0

    _headers_due: asyncio.TimerHandle | None = None
    _send_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._headers_due = self.loop.call_later(self.headers_timeout_s, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting_for_headers()
        elif self._headers_due is None and self.timeout_keep_alive_task is None:
            self._headers_due = self.loop.call_later(self.headers_timeout_s, self.transport.close)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self._stop_waiting_for_headers()

    def pause_writing(self) -> None:
        super().pause_writing()
        # close() would wait until all is written
        self._send_due = self.loop.call_later(self.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_waiting_for_reads()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting_for_headers()
        self._stop_waiting_for_reads()
        super().connection_lost(exc)

    def _stop_waiting_for_headers(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _stop_waiting_for_reads(self) -> None:
        if self._send_due is not None:
            self._send_due.cancel()
            self._send_due = None
