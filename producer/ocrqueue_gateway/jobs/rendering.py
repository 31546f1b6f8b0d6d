"""Formats that show the page, made when they are asked for: of the file that was read, where that is in storage.

Pages of a PDF are taken over by a process of its own, within limits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

from ocrqueue.document import Document
from ocrqueue.document.formats import written_pieces
from ocrqueue.document.formats.files import write_file
from ocrqueue.document.formats.isolated_pdf import PdfLimits
from ocrqueue.errors import OutputMissing
from ocrqueue.job.names import NEEDS_IMAGE

if TYPE_CHECKING:
    from ocrqueue.document.formats.page_image import ImageFile

_IN_MEMORY: Final = 1024 * 1024
_PIECE_BYTES: Final = 256 * 1024
AT_ONCE: Final = 2
"""Files that one replica draws at a time: each takes the memory of a page's pixels."""
_SPARE_MIB: Final = 512
_OF_A_PIXEL: Final = 16
"""Bytes: a PDF may take as much as the picture of a page in any format."""
_OF_A_PAGE_S: Final = 0.1


class _Gone(Exception):
    """Nobody waits for it any more."""


class Renderer:
    """Of one replica."""

    def __init__(self, max_pixels: int, page_timeout_s: float) -> None:
        """`page_timeout_s`: for drawing a page of a PDF. A whole PDF has twice as long, and a moment for each page."""
        self._max_pixels = max_pixels
        self._page_timeout_s = page_timeout_s
        self._room = asyncio.Semaphore(AT_ONCE)

    async def pieces(self, document: Document, name: str, page: int | None) -> AsyncIterator[bytes]:
        """The Document, or a page of it, in the format `name`. Raises OutputMissing, and what drawing raises, before
        there is a first piece."""
        if name not in NEEDS_IMAGE and page is None:
            return in_thread(_encoded(written_pieces(document, name)))
        async with self._room:
            gone = threading.Event()
            try:
                file = await asyncio.to_thread(self._written, document, name, page, gone)
            except asyncio.CancelledError:
                gone.set()
                raise
        return in_thread(_read(file))

    async def overlay(self, document: Document, page: int) -> bytes:
        """A PNG of the page with its words marked. Raises OutputMissing, PageNotFound, and what drawing raises."""
        async with self._room:
            return await asyncio.to_thread(self._overlay, document, page)

    def _written(self, document: Document, name: str, page: int | None, gone: threading.Event) -> IO[bytes]:
        def on_page() -> None:
            if gone.is_set():
                raise _Gone

        file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # _read() closes it
        try:
            limits = self._limits(document)
            image = self._image(document)
            write_file(document, name, cast("BinaryIO", file), image, number=page, on_page=on_page, isolated=limits)
        except BaseException:
            file.close()
            raise
        return file

    def _limits(self, document: Document) -> PdfLimits:
        memory_mib = _SPARE_MIB + (_OF_A_PIXEL * self._max_pixels >> 20)
        return PdfLimits(memory_mib, 2 * self._page_timeout_s + _OF_A_PAGE_S * len(document.page_numbers))

    def _image(self, document: Document) -> Callable[[], ImageFile]:
        def image() -> ImageFile:
            from ocrqueue.document.formats.page_image import ImageFile

            return ImageFile(_source(document), max_pixels=self._max_pixels)

        return image

    def _overlay(self, document: Document, page: int) -> bytes:
        from ocrqueue.document.formats.overlay import draw_overlay, open_page

        drawn = draw_overlay(document, open_page(_source(document), page, max_pixels=self._max_pixels), page)
        written = BytesIO()
        drawn.save(written, "PNG", compress_level=1)
        return written.getvalue()


async def in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each is made in a thread."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    return (piece.encode("utf-8", "replace") for piece in pieces)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _source(document: Document) -> bytes:
    data = document.source()
    if data is None:
        raise OutputMissing(
            "The file that was read is not in storage: it cannot be shown.",
            remedy="Submit with outputs=[...], or send the file instead of a reference to it.",
        )
    return data
