"""Lines of stdin as they arrive: who takes them is not held up until the next one is there."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Thread
from typing import Final, TextIO

from ocrqueue.submitting.submission import WAITING, Waiting

_PATIENCE_S: Final = 0.1
_MOST_LINES: Final = 1000
_AT_ONCE: Final = 65_536

Lines = Queue[str | BaseException | None]
"""None: there are no more."""


def arriving_lines(stream: TextIO) -> Iterator[str | Waiting]:
    """The lines, and WAITING ten times a second while there is none. Raises what reading the stream raises."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        # no file of the system: it does not make anyone wait
        yield from stream
        return
    lines: Lines = Queue(_MOST_LINES)
    decoder = codecs.getincrementaldecoder(stream.encoding)(stream.errors or "strict")
    # a thread that waits for the stream itself, and has no lock of Python's meanwhile, may be left behind at the end
    Thread(target=_read, args=(descriptor, decoder, lines), name="stdin", daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_PATIENCE_S)
        except Empty:
            yield WAITING
            continue
        if line is None:
            return
        if isinstance(line, BaseException):
            raise line
        yield line


def _read(descriptor: int, decoder: codecs.IncrementalDecoder, lines: Lines) -> None:
    rest = ""
    try:
        while data := os.read(descriptor, _AT_ONCE):
            *whole, rest = (rest + decoder.decode(data)).split("\n")
            for line in whole:
                lines.put(line)
        if last := rest + decoder.decode(b"", final=True):
            lines.put(last)
    except BaseException as error:
        lines.put(error)
    else:
        lines.put(None)
