"""The process that runs PDFium: `python -m ocrqueue_worker.pdf.child SOCKET MEMORY_MIB`.

One document at a time. It ends when the worker does, when it has nothing to do for a while, and, in the midst of
whatever PDFium is busy with, when a question takes too long.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite, sqrt
from typing import Any, Final

from PIL import Image
from pypdfium2 import raw

from ocrqueue.isolation.limits import limit_own
from ocrqueue_worker.pdf.library import Handle, Refusal
from ocrqueue_worker.pdf.pixels import Pixels
from ocrqueue_worker.pdf.protocol import Closed, receive, send
from ocrqueue_worker.pdf.rendering import render
from ocrqueue_worker.pdf.scans import scan_of
from ocrqueue_worker.pdf.text import text_of

_LEAST_DPI: Final = 36.0
"""Below that no text of a usual size can be read."""
_IDLE_S: Final = 60.0
Said = dict[str, Any]


class _Document:
    """What is open."""

    def __init__(self, file: int, password: str | None) -> None:
        self._file = file
        self._form: Handle | None = None
        self._form_fields: Handle | None = None
        secret = None if password is None else password.encode()
        self._document = raw.FPDF_LoadDocument(f"/proc/self/fd/{file}".encode(), secret)
        if not self._document:
            os.close(file)
            code = raw.FPDF_GetLastError()
            if code == raw.FPDF_ERR_PASSWORD:
                raise Refusal("pdf.password_required" if password is None else "pdf.password_wrong")
            raise Refusal("pdf.encryption_unsupported" if code == raw.FPDF_ERR_SECURITY else "pdf.damaged")
        self.pages = raw.FPDF_GetPageCount(self._document)
        kind = raw.FPDF_GetFormType(self._document)
        self.is_xfa = kind in (raw.FORMTYPE_XFA_FULL, raw.FORMTYPE_XFA_FOREGROUND)
        if kind != raw.FORMTYPE_NONE:
            # without it, what was typed into a form is not drawn
            self._form_fields = raw.FPDF_FORMFILLINFO(version=2)
            self._form = raw.FPDFDOC_InitFormFillEnvironment(self._document, self._form_fields) or None

    def close(self) -> None:
        if self._form is not None:
            raw.FPDFDOC_ExitFormFillEnvironment(self._form)
        raw.FPDF_CloseDocument(self._document)
        os.close(self._file)

    def page(self, asked: Said) -> tuple[Said, Pixels | None]:
        """`asked`: number, dpi, most_pixels, most_objects, existing_text, pictures."""
        with self._loaded(asked["number"], asked["most_objects"]) as page:
            points = self._size_of(asked["number"])
            if (known := self._known(page, points, asked)) is not None:
                return known
            picture, lowered = scan_of(page, points, asked["most_pixels"]), False
            if picture is not None:
                dpi, pixels = picture.width * 72 / points[0], Pixels.of(picture)
            else:
                dpi, size = _scale(points, asked["dpi"], asked["most_pixels"])
                lowered = dpi < asked["dpi"]
                pixels = render(page, self._form, size)
        return {**pixels.to_message(), "dpi": dpi, "points": points, "lowered": lowered}, pixels

    def _known(self, page: Handle, points: tuple[float, float], asked: Said) -> tuple[Said, Pixels | None] | None:
        """The page with its own text; None where it is to be read."""
        if asked["existing_text"] == "read_anyway":
            return None
        dpi, size = _scale(points, asked["dpi"], asked["most_pixels"])
        text = text_of(page, size)
        if asked["existing_text"] == "auto" and not text.is_readable:
            return None
        said: Said = {"size": size, "dpi": dpi, "points": points, "lowered": dpi < asked["dpi"], "words": text.words}
        if not asked["pictures"]:
            return said, None
        pixels = render(page, self._form, size)
        return {**said, **pixels.to_message()}, pixels

    @contextmanager
    def _loaded(self, number: int, most_objects: int) -> Iterator[Handle]:
        page = raw.FPDF_LoadPage(self._document, number - 1)
        if not page:
            raise Refusal("pdf.page_damaged")
        try:
            if (count := raw.FPDFPage_CountObjects(page)) > most_objects:
                raise Refusal("pdf.page_too_complex", f"The page has {count} objects, more than {most_objects}.")
            if self._form is not None:
                raw.FORM_OnAfterLoadPage(page, self._form)
            try:
                yield page
            finally:
                if self._form is not None:
                    raw.FORM_OnBeforeClosePage(page, self._form)
        finally:
            raw.FPDF_ClosePage(page)

    def _size_of(self, number: int) -> tuple[float, float]:
        size = raw.FS_SIZEF()
        known = raw.FPDF_GetPageSizeByIndexF(self._document, number - 1, ctypes.byref(size))
        if not known or not (isfinite(size.width + size.height) and size.width > 0 and size.height > 0):
            raise Refusal("pdf.page_damaged", "The page has no size.")
        return size.width, size.height


def _scale(points: tuple[float, float], asked: float, most_pixels: int) -> tuple[float, tuple[int, int]]:
    """The resolution at which a page is drawn, and its size in pixels then."""
    dpi = min(asked, sqrt(most_pixels / points[0]) * 72 / sqrt(points[1]))
    if dpi < min(asked, _LEAST_DPI):
        raise Refusal("pdf.page_too_large", f"The page measures {points[0] / 72:.0f} x {points[1] / 72:.0f} inches.")
    # never above what is allowed
    cut: Callable[[float], int] = int if dpi < asked else round
    return dpi, (max(1, cut(points[0] * dpi / 72)), max(1, cut(points[1] * dpi / 72)))


class _Service:
    """Answers one question after the other."""

    def __init__(self, of: socket.socket) -> None:
        self._socket = of
        self._document: _Document | None = None

    def run(self) -> None:
        while True:
            self._socket.settimeout(_IDLE_S)
            asked, file = receive(self._socket)
            self._socket.settimeout(None)
            signal.setitimer(signal.ITIMER_REAL, asked["timeout_s"])
            try:
                said, pixels = self._answer(asked, file)
            except Refusal as refusal:
                said, pixels = {"refused": refusal.code, "message": refusal.message}, None
            except MemoryError:
                said, pixels = {"refused": "engine.out_of_memory", "message": None}, None
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            send(self._socket, said, None if pixels is None else pixels.file)
            if pixels is not None:
                pixels.close()

    def _answer(self, asked: Said, file: int | None) -> tuple[Said, Pixels | None]:
        if "password" in asked or "close" in asked:
            if self._document is not None:
                self._document.close()
                self._document = None
            if file is not None:
                self._document = document = _Document(file, asked["password"])
                return {"pages": document.pages, "xfa": document.is_xfa}, None
            return {}, None
        if self._document is None:
            raise Refusal("pdf.damaged")
        return self._document.page(asked)


def main() -> None:
    number, memory_mib = map(int, sys.argv[1:])
    if memory_mib:
        limit_own(resource.RLIMIT_DATA, memory_mib << 20)
    limit_own(resource.RLIMIT_CORE, 0)
    Image.MAX_IMAGE_PIXELS = None
    # it ends the process in the midst of C code, too
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    # who stops the worker lets it end what it has begun
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(stop, signal.SIG_IGN)
    try:
        _Service(socket.socket(fileno=number)).run()
    except (Closed, TimeoutError):
        return


if __name__ == "__main__":
    main()
