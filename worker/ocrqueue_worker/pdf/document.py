"""A PDF whose pages are drawn one at a time.

PDFium mends what it can of a damaged file; what it cannot is an error of the page or of the file. A page over which
its process is lost has an error of its own, and the next one gets a new process. It runs no JavaScript, and what is
attached to a file is not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from PIL import Image

from ocrqueue.document import DocumentWarning
from ocrqueue.errors import (
    EngineOutOfMemory,
    ErrorInfo,
    ImageTooSmall,
    OcrQueueError,
    PdfDamaged,
    PdfEncryptionUnsupported,
    PdfNoPages,
    PdfPageDamaged,
    PdfPageTooComplex,
    PdfPageTooLarge,
    PdfPageTooSlow,
    PdfPasswordRequired,
    PdfPasswordWrong,
    PdfTooManyPages,
)
from ocrqueue.job import ExistingText
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.images.alike_colors import told_apart
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.images.warnings import warning
from ocrqueue_worker.pdf.known_page import known_page
from ocrqueue_worker.pdf.pixels import Pixels, memory_file
from ocrqueue_worker.pdf.process import Lost, PdfProcess, acquire, release

ENDS: Final = 2048
"""Bytes of the beginning and the end that are looked at."""
_REFUSALS: Final[dict[str, type[OcrQueueError]]] = {
    kind.code: kind
    for kind in (
        EngineOutOfMemory,
        PdfDamaged,
        PdfEncryptionUnsupported,
        PdfPageDamaged,
        PdfPageTooComplex,
        PdfPageTooLarge,
        PdfPasswordRequired,
        PdfPasswordWrong,
    )
}


@dataclass(frozen=True, slots=True)
class PdfReading:
    """How the pages are to become pictures."""

    dpi: int = 300
    existing_text: ExistingText = "read_anyway"
    pictures: bool = True
    """Whether pages whose own text is used become pictures too."""
    password: Callable[[], str | None] = lambda: None
    """Asked for where the file wants one."""
    memory_mib: int = 0
    """That PDFium may take; 0: no limit."""


def open_pdf(
    data: bytes | BinaryIO, settings: WorkerSettings, reading: PdfReading | None = None, last: bytes | None = None
) -> PdfSource:
    """`data` may be an open file, which is the caller's to close; then `last` are its last bytes.

    Raises PdfDamaged, PdfNoPages, PdfTooManyPages, PdfPasswordRequired, PdfPasswordWrong, PdfEncryptionUnsupported,
    and what asking for the password does."""
    file = memory_file(data) if isinstance(data, bytes) else os.dup(data.fileno())
    if last is None:
        last = data[-ENDS:] if isinstance(data, bytes) else b""
    return PdfSource(file, last, settings, reading or PdfReading())


class PdfSource:
    """See the module. A context manager; for one thread."""

    format: Final = "PDF"
    truncated: Final[Mapping[int, ErrorInfo]] = {}

    def __init__(self, file: int, last: bytes, settings: WorkerSettings, reading: PdfReading) -> None:
        """`file`: a descriptor, closed with this."""
        self._settings = settings
        self._reading = reading
        self._warnings: dict[DocumentWarning, None] = {}
        self._password: str | None = None
        self._process: PdfProcess | None = None
        self._file = file
        try:
            said = self._opened()
            count, most = int(said["pages"]), settings.pdf_max_pages
            if count < 1:
                raise PdfNoPages()
            if count > most:
                raise PdfTooManyPages(f"The PDF has {count} pages, more than {most}.", limit=most)
        except BaseException:
            self.close()
            raise
        self.page_count = count
        if b"%%EOF" not in last:
            self._warn(warning("pdf.end_missing"))
        if said["xfa"]:
            self._warn(warning("pdf.xfa"))

    @property
    def is_protected(self) -> bool:
        return self._password is not None

    @property
    def warnings(self) -> tuple[DocumentWarning, ...]:
        return tuple(self._warnings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Pages already given out stay."""
        if self._process is not None:
            try:
                self._process.ask({"close": True}, self._settings.pdf_page_timeout_s)
                release(self._process)
            except Lost:
                pass
            self._process = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def page(self, number: int) -> PageImage:
        """Draw page `number`, counted from 1, or give the scan that it is.

        Raises PdfPageDamaged, PdfPageTooLarge, PdfPageTooComplex, PdfPageTooSlow, ImageTooSmall, EngineOutOfMemory: the
        other pages can be read all the same. Raises IndexError where there is no such page.
        """
        if not 1 <= number <= self.page_count:
            raise IndexError(f"page {number} of {self.page_count}")
        said, picture = self._ask_of_page(number)
        width, height = map(int, said["size"])
        if min(width, height) < self._settings.image_min_side_px:
            least = self._settings.image_min_side_px
            raise ImageTooSmall(
                f"The page has {width} x {height} pixels; each side must have at least {least}.",
                page=number,
                limit=least,
            )
        if said["lowered"]:
            self._warn(warning("pdf.dpi_lowered", number, f"{said['dpi']:.0f}"))
        if picture.mode == "RGB" and (told := told_apart(picture)) is not None:
            picture = told
            self._warn(warning("image.colors_alike", number))
        dpi, size_pt = round(float(said["dpi"]), 2), (round(said["points"][0], 3), round(said["points"][1], 3))
        if said.get("words") is None:
            return PageImage(number, picture, dpi, size_pt=size_pt)
        known = known_page(number, (width, height), dpi, size_pt, said["words"])
        return PageImage(
            number, picture, dpi, None if picture.size == (width, height) else (width, height), size_pt, known
        )

    def _ask_of_page(self, number: int) -> tuple[dict[str, Any], Image.Image]:
        process = self._process or self._reopened()
        most = self._settings.image_max_pixels
        asked: dict[str, Any] = {
            "existing_text": self._reading.existing_text,
            "number": number,
            "dpi": self._reading.dpi,
            "most_pixels": most,
        }
        asked |= {"most_objects": self._settings.pdf_max_objects, "pictures": self._reading.pictures}
        try:
            said, file = process.ask(asked, self._settings.pdf_page_timeout_s)
        except Lost as lost:
            self._process = None
            if lost.timed_out:
                limit_s = self._settings.pdf_page_timeout_s
                raise PdfPageTooSlow(f"The page was not drawn within {limit_s:.0f} s.", page=number) from None
            raise PdfPageDamaged("PDFium crashed on this page, or ran out of memory.", page=number) from None
        _check(said, number)
        if file is None:
            if said.get("words") is None:
                raise PdfPageDamaged(page=number)
            return said, Image.new("L", (1, 1), 255)
        try:
            return said, Pixels.said(said, file, most).image()
        finally:
            os.close(file)

    def _reopened(self) -> PdfProcess:
        process = self._process = acquire(self._reading.memory_mib)
        self._opened()
        return process

    def _opened(self) -> dict[str, Any]:
        try:
            return self._open()
        except PdfPasswordRequired:
            self._password = self._reading.password()
            if self._password is None:
                raise
            return self._open()

    def _open(self) -> dict[str, Any]:
        if self._process is None:
            self._process = acquire(self._reading.memory_mib)
            self._process.documents += 1
        try:
            said, _ = self._process.ask({"password": self._password}, self._settings.pdf_page_timeout_s, self._file)
        except Lost as lost:
            self._process = None
            raise PdfDamaged("PDFium took too long to open it." if lost.timed_out else None) from None
        _check(said)
        return said

    def _warn(self, found: DocumentWarning) -> None:
        self._warnings[found] = None


def _check(said: Mapping[str, Any], page: int | None = None) -> None:
    code = said.get("refused")
    if code is not None:
        kind, message = _REFUSALS.get(code, PdfDamaged), said.get("message")
        raise kind(message) if page is None else kind(message, page=page)
