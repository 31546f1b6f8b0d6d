"""A searchable PDF of a source that is a PDF, made in a process of its own: for those who serve others.

qpdf, which takes the pages over, follows whatever a file has in it: a chain of objects until its stack is full,
compressed data until memory is. Such a file ends this process, and costs its own output alone.

Needs POSIX.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, BinaryIO, Final, cast

from ocrqueue.document import Document
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.errors import ErrorInfo, PdfOutputFailed, error_from_info
from ocrqueue.isolation.environment import isolated_environment

_MOST_SAID: Final = 64 * 1024
"""Of one line: what has got hold of the process by a hostile file says no more than it may."""
_LOOKED_UP_S: Final = 1.0
"""So often `on_page` is asked while the process is busy with one page."""
_ENDS_S: Final = 5.0
"""For the process to end, once it has said its last."""


@dataclass(frozen=True, slots=True)
class PdfLimits:
    """What the process may take."""

    memory_mib: int
    """Beside the program and the source; 0: no limit."""
    seconds: float
    """Also of processor time."""


def write_isolated(
    document: Document,
    source: ImageFile,
    target: BinaryIO,
    limits: PdfLimits,
    *,
    annotated: bool = False,
    on_page: Callable[[], None] = lambda: None,
) -> None:
    """`source`, a PDF, with the words of `document`: pdf.write_pdf() within `limits`.

    `on_page` is called after each page, and each second while one takes longer. Whatever it raises ends the process.

    Raises PdfOutputFailed where the process dies or reaches a limit, PdfDamaged where the file is not as a PDF must be,
    what pdf.bind_pdf() raises of a PDF, and OSError where the disk is full.
    """
    with TemporaryFile(prefix="ocrqueue-pdf-") as read, TemporaryFile(prefix="ocrqueue-pdf-") as written:
        read.write(source.data)
        read.flush()
        process = _Process(read, written, limits, on_page)
        try:
            _tell(process, document, source, limits, annotated)
        finally:
            process.end()
        written.seek(0)
        shutil.copyfileobj(written, target)


def _tell(process: _Process, document: Document, source: ImageFile, limits: PdfLimits, annotated: bool) -> None:
    cpu_s = max(1, round(limits.seconds))
    limited = {"memory_mib": limits.memory_mib, "cpu_s": cpu_s}
    asked = {"annotated": annotated, "languages": document.languages, "pages": document.page_numbers}
    process.say(json.dumps({**limited, **asked}))
    if process.hear() == "password":
        process.say(json.dumps({"password": source.password()}))
        process.hear()
    for page in document.pages:
        process.say(page.model_dump_json())
        process.hear()
        process.on_page()
    process.say("{}")
    process.hear()
    process.ended()


class _Process:
    """One for one PDF. Each side says a line and hears one, in turn."""

    def __init__(self, read: IO[bytes], written: IO[bytes], limits: PdfLimits, on_page: Callable[[], None]) -> None:
        self.on_page = on_page
        self._limits = limits
        self._until = time.monotonic() + limits.seconds
        self._heard = b""
        files = (read.fileno(), written.fileno())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ocrqueue.document.formats.isolated_pdf_child", *map(str, files)],
            pass_fds=files,
            env=isolated_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        self._pipes = (cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout))
        self._stdin, self._stdout = (pipe.fileno() for pipe in self._pipes)
        os.set_blocking(self._stdin, False)

    def say(self, line: str) -> None:
        rest = memoryview(line.encode() + b"\n")
        while rest:
            self._wait(self._stdin, select.POLLOUT)
            try:
                rest = rest[os.write(self._stdin, rest) :]
            except BrokenPipeError:
                # it may have said why; and how it ended says so, too
                return

    def hear(self) -> str:
        """What it says next. Raises the error that it tells of, and PdfOutputFailed."""
        while b"\n" not in self._heard:
            self._wait(self._stdout, select.POLLIN)
            piece = os.read(self._stdout, _MOST_SAID)
            if not piece or len(self._heard) > _MOST_SAID:
                raise self._death()
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            told = json.loads(line)
            error = told.get("error")
            info = None if error is None else ErrorInfo.model_validate(error)
            ran_out, said = told.get("ran_out"), str(told.get("said"))
        except (ValueError, AttributeError, RecursionError):
            raise PdfOutputFailed() from None
        if info is not None:
            raise error_from_info(info)
        if ran_out == "memory":
            raise self._no_memory()
        if ran_out is not None:
            number = int(ran_out) if str(ran_out).isdigit() else 0
            raise OSError(number, os.strerror(number))
        return said

    def ended(self) -> None:
        """It has ended well. Raises PdfOutputFailed."""
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(_ENDS_S) == 0:
                return
        raise self._death()

    def end(self) -> None:
        """Now, whatever it does."""
        if self._process.poll() is None:
            # it leads a session of its own, with what it may have started
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in self._pipes:
            pipe.close()
        self._process.wait()

    def _wait(self, file: int, event: int) -> None:
        waiting = select.poll()
        waiting.register(file, event)
        while True:
            left = self._until - time.monotonic()
            if left <= 0:
                raise PdfOutputFailed(f"The PDF takes longer than {self._limits.seconds:.0f} s to write.")
            if waiting.poll(1000 * min(left, _LOOKED_UP_S)):
                return
            self.on_page()

    def _death(self) -> PdfOutputFailed:
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_ENDS_S)
            if status == -signal.SIGXCPU:
                return PdfOutputFailed(f"The PDF takes longer than {self._limits.seconds:.0f} s to write.")
            if status < 0:
                return PdfOutputFailed(f"What writes the PDF was ended by signal {-status}, over what is in the file.")
        return PdfOutputFailed()

    def _no_memory(self) -> PdfOutputFailed:
        return PdfOutputFailed(f"The PDF takes more than {self._limits.memory_mib} MiB of memory to write.")
