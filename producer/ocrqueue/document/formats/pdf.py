"""A searchable PDF: the pages as they were, and the words as invisible text in their places.

A page comes from an image file or from a PDF. What was scanned is not compressed again: JPEGs keep their bytes, the
pages of a PDF their objects.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from ocrqueue.document import Document
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.document.formats.pdf_drawn import DrawnPdf
from ocrqueue.document.formats.pdf_grafted import GraftedPdf
from ocrqueue.document.signatures import is_pdf

Read = tuple[Document, bytes | ImageFile]
"""A Document with the file that was read."""
OnPage = Callable[[], None]
"""Is called after each page; what it raises ends the writing."""


def searchable_pdf(document: Document, data: bytes | ImageFile, *, annotated: bool = False) -> bytes:
    """`data`, the image or PDF that was read, with the words of `document`. Raises as bind_pdf does."""
    written = BytesIO()
    write_pdf(document, data, written, annotated=annotated)
    return written.getvalue()


def write_pdf(
    document: Document,
    data: bytes | ImageFile,
    target: BinaryIO,
    *,
    annotated: bool = False,
    on_page: OnPage = lambda: None,
) -> None:
    """The same into a file; pages of an image go there one after the other, by no other file."""
    if _is_pdf(data):
        bind_pdf([(document, data)], target, annotated=annotated, on_page=on_page)
        return
    drawn = DrawnPdf(target, annotated=annotated)
    with ImageFile(data) if isinstance(data, bytes) else nullcontext(data) as file:
        for page in document.pages:
            drawn.add(page, file)
            on_page()
    drawn.finish(document.languages)


def bind_pdf(
    documents: Iterable[Read],
    target: BinaryIO,
    *,
    annotated: bool = False,
    on_page: OnPage = lambda: None,
) -> None:
    """One searchable PDF of what several jobs have read, in this order; each Document with the file it was read from.

    With `annotated`, each word has an annotation with its text and confidence. A page that failed keeps its picture;
    where that cannot be decoded it is empty. Pages of images wait in a file without a name, those of PDFs in
    memory. `on_page` is called after each.

    Raises what reading an image raises. Of a source that is a PDF: PdfExtraMissing without the extra `pdf`, PdfDamaged,
    and PdfPasswordRequired or PdfPasswordWrong where it is encrypted. ImageFile(data, password=...) opens it then. What
    is written is not encrypted.
    """
    with ExitStack() as opened:
        binding = _Binding(opened, annotated, on_page)
        for document, data in documents:
            binding.add(document, data)
        binding.save(target)


class _Binding:
    """What was bound so far: the pages that are drawn since the last PDF, and all that was before them."""

    def __init__(self, opened: ExitStack, annotated: bool, on_page: OnPage) -> None:
        self._opened = opened
        self._annotated = annotated
        self._on_page = on_page
        self._languages: tuple[str, ...] = ()
        self._file: IO[bytes] | None = None
        self._drawn: DrawnPdf | None = None
        self._grafted: GraftedPdf | None = None

    def add(self, document: Document, data: bytes | ImageFile) -> None:
        self._languages = self._languages or document.languages
        if _is_pdf(data):
            self._graft(document, data)
        else:
            with ImageFile(data) if isinstance(data, bytes) else nullcontext(data) as file:
                self._draw(document, file)

    def _draw(self, document: Document, file: ImageFile) -> None:
        if self._drawn is None:
            self._file = self._opened.enter_context(TemporaryFile(prefix="ocrqueue-pdf-"))  # noqa: SIM115  # closed with the others
            self._drawn = DrawnPdf(self._file, annotated=self._annotated)
        for page in document.pages:
            self._drawn.add(page, file)
            self._on_page()

    def _graft(self, document: Document, data: bytes | ImageFile) -> None:
        self._grafted = self._grafted or GraftedPdf(annotated=self._annotated)
        self._take_drawn(self._grafted)
        file = data if isinstance(data, ImageFile) else ImageFile(data)
        source = self._grafted.open(BytesIO(file.data), file.password)
        self._opened.callback(source.close)
        self._grafted.add(document.page_numbers, document.pages, source, self._on_page)

    def _take_drawn(self, grafted: GraftedPdf) -> None:
        if self._drawn is not None and self._file is not None:
            self._drawn.finish(self._languages)
            source = grafted.open(self._file)
            self._opened.callback(source.close)
            grafted.add_drawn(source)
            self._drawn = self._file = None

    def save(self, target: BinaryIO) -> None:
        if self._grafted is not None:
            self._take_drawn(self._grafted)
            self._grafted.save(target, self._languages)
            return
        if self._drawn is None:
            DrawnPdf(target).finish(self._languages)
        elif self._file is not None:
            self._drawn.finish(self._languages)
            self._file.seek(0)
            shutil.copyfileobj(self._file, target)


def _is_pdf(data: bytes | ImageFile) -> bool:
    return is_pdf(data.data if isinstance(data, ImageFile) else data)
