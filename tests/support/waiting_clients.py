"""Clients that wait for jobs over HTTP, as well-made ones do: answered without an end, or cut off, they ask again."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

FINAL: Final = frozenset({"succeeded", "partial", "failed", "cancelled"})
_WAIT_S: Final = 60
_PAUSE_S: Final = 0.05
_Ask = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str, str, "Told"], Awaitable[bool]]
"""A request and its answer: whether it told of the end."""


class _Refused(Exception):
    """Another status than 200."""


@dataclass
class Told:
    """What clients heard."""

    ends: dict[str, list[float]] = field(default_factory=dict)
    """By job: when each of its clients was told of its end, by time.monotonic()."""
    asked: int = 0
    """Requests that were sent, beside the first of each client and those of clients whose time to wait was over."""
    errors: Counter[str] = field(default_factory=Counter)
    """Answers other than 200, and connections that were cut off within an answer."""
    waiting: int = 0
    """Clients that have sent a request, and are not told of an end."""

    @property
    def clients(self) -> int:
        return sum(map(len, self.ends.values()))


async def wait_for_all(
    url: str, polled: Sequence[str], streamed: Sequence[str], told: Told, key: str | None = None
) -> None:
    """A client for each of these jobs, at the same time; returns when all were told of their ends."""
    head = f"host: {urlsplit(url).netloc}\r\n" + (f"authorization: Bearer {key}\r\n" if key else "")
    polling = [_until_told(url, head, job_id, told, _poll) for job_id in polled]
    streaming = [_until_told(url, head, job_id, told, _stream) for job_id in streamed]
    await asyncio.gather(*polling, *streaming)


async def _until_told(url: str, head: str, job_id: str, told: Told, ask: _Ask) -> None:
    parts = urlsplit(url)
    told.waiting += 1
    while True:
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError:
            told.errors["not connected"] += 1
            await asyncio.sleep(_PAUSE_S)
            continue
        began = time.monotonic()
        try:
            if await ask(reader, writer, head, job_id, told):
                break
        except (OSError, asyncio.IncompleteReadError):
            told.errors["cut off"] += 1
            await asyncio.sleep(_PAUSE_S)
        except _Refused as refusal:
            told.errors[f"status {refusal}"] += 1
            await asyncio.sleep(_PAUSE_S)
        finally:
            writer.close()
        told.asked += time.monotonic() - began < _WAIT_S
    told.waiting -= 1
    told.ends.setdefault(job_id, []).append(time.monotonic())


async def _poll(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, job_id: str, told: Told) -> bool:
    writer.write(f"GET /v1/jobs/{job_id}?wait={_WAIT_S} HTTP/1.1\r\n{head}\r\n".encode())
    status, headers = await _answer(reader)
    body = await reader.readexactly(int(headers["content-length"]))
    if status != 200:
        raise _Refused(str(status))
    return json.loads(body)["state"] in FINAL


async def _stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, job_id: str, told: Told
) -> bool:
    writer.write(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\n{head}\r\n".encode())
    status, _ = await _answer(reader)
    if status != 200:
        raise _Refused(str(status))
    # whatever the chunks, an event has lines of its own; a stream without an end is a replica's that ended
    while line := await reader.readline():
        if line.strip() == b"event: end":
            return True
        if line == b"0\r\n":
            return False
    return False


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}
