"""What is said between the worker and the process that runs PDFium: JSON, and a descriptor that may go along."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Final

_LENGTH: Final = struct.Struct(">L")
_MOST: Final = 256 << 20


class Closed(Exception):
    """Nobody is at the other end any more."""


def send(to: socket.socket, said: dict[str, Any], file: int | None = None) -> None:
    text = json.dumps(said).encode()
    try:
        socket.send_fds(to, [_LENGTH.pack(len(text))], [] if file is None else [file])
        to.sendall(text)
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive(of: socket.socket) -> tuple[dict[str, Any], int | None]:
    """What was said, and the descriptor, which is the caller's to close. Raises Closed, ValueError for nonsense."""
    try:
        head, files, _, _ = socket.recv_fds(of, _LENGTH.size, 1)
        if not head:
            raise Closed
        [length] = _LENGTH.unpack(head + _read(of, _LENGTH.size - len(head)))
        if length > _MOST:
            raise ValueError("too much was said")
        said = json.loads(_read(of, length))
    except ConnectionResetError:
        raise Closed from None
    return said, files[0] if files else None


def _read(of: socket.socket, length: int) -> bytes:
    found = bytearray(length)
    view, at = memoryview(found), 0
    while at < length:
        read = of.recv_into(view[at:])
        if not read:
            raise Closed
        at += read
    return bytes(found)
