"""uvicorn's HTTP with two more limits: how long headers may take to come, and how long a client may read nothing.

What is no HTTP is told so by a problem, as every other error is.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any, ClassVar, Final

import h11
import uuid_utils
from uvicorn.protocols.http.h11_impl import H11Protocol

from ocrqueue.errors import OcrQueueError, RequestHeadersTooLarge, RequestInvalid
from ocrqueue_gateway.hardening.response_headers import SAID, SAID_BY_HTTPS
from ocrqueue_gateway.problems import problem_response

_CAN_ANSWER: Final = (h11.IDLE, h11.SEND_RESPONSE)
"""States of a connection on which no answer has begun."""


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

    def send_400_response(self, msg: str) -> None:
        """Whatever is wrong with what has come; of what is to come nothing can be understood."""
        # the one that is being handled by whoever calls this
        wrong = sys.exception()
        if self.conn.our_state in _CAN_ANSWER:
            self.transport.write(self._problem(getattr(wrong, "error_status_hint", HTTPStatus.BAD_REQUEST), msg))
        self.transport.close()

    def _problem(self, status: int, message: str) -> bytes:
        error: OcrQueueError = RequestInvalid(message, remedy="Send HTTP/1.1, each request whole before the next one.")
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            error = RequestHeadersTooLarge()
        app: Any = self.config.app
        answer = problem_response(error.info, app.state.settings, status)
        headers = {
            **dict(SAID_BY_HTTPS if self.scheme == "https" else SAID),
            **dict(answer.raw_headers),
            b"x-request-id": str(uuid_utils.uuid7()).encode(),
            b"connection": b"close",
        }
        begin = h11.Response(status_code=status, headers=list(headers.items()), reason=HTTPStatus(status).phrase)
        pieces = (begin, h11.Data(data=bytes(answer.body)), h11.EndOfMessage())
        return b"".join(self.conn.send(piece) or b"" for piece in pieces)

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
