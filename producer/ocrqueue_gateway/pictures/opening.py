"""Pages of an image file or a PDF as pictures. It is done by the process of its own only: see `process`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import pypdfium2
from PIL import Image
from pypdfium2 import raw

from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.document.signatures import HEAD_BYTES, is_pdf
from ocrqueue.errors import (
    ImageTooLarge,
    PageNotFound,
    PdfDamaged,
    PdfEncryptionUnsupported,
    PdfPageDamaged,
    PdfPageTooComplex,
    PdfPasswordRequired,
)

Size = tuple[int, int]
Draw = Callable[[int, Size | None], Image.Image]
"""Page `number` (from 1) in about this size, or in that of its file; in mode RGB."""
_DPI: Final = 150.0
_MOST_OBJECTS: Final = 200_000


def pages_of(path: Path, max_pixels: int) -> AbstractContextManager[Draw]:
    """What draws the pages of the file. Drawing raises what ImageFile.read() raises, and errors of PDFs."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return _pdf(path, max_pixels) if is_pdf(head) else _image(path, max_pixels)


@contextmanager
def _image(path: Path, max_pixels: int) -> Iterator[Draw]:
    with ImageFile(path.read_bytes(), max_pixels=max_pixels) as file:
        yield lambda number, _: file.picture(number)


@contextmanager
def _pdf(path: Path, max_pixels: int) -> Iterator[Draw]:
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        code = raw.FPDF_GetLastError()
        if code == raw.FPDF_ERR_PASSWORD:
            raise PdfPasswordRequired() from None
        raise (PdfEncryptionUnsupported if code == raw.FPDF_ERR_SECURITY else PdfDamaged)() from None
    try:
        # what was typed into a form is drawn too
        document.init_forms()
        yield lambda number, size: _drawn(document, number, size, max_pixels)
    finally:
        document.close()


def _drawn(document: Any, number: int, size: Size | None, max_pixels: int) -> Image.Image:
    if not 1 <= number <= len(document):
        raise PageNotFound(f"The PDF has no page {number}.")
    points = raw.FS_SIZEF()
    known = raw.FPDF_GetPageSizeByIndexF(document.raw, number - 1, ctypes.byref(points))
    if not known or not (math.isfinite(points.width + points.height) and points.width > 0 and points.height > 0):
        raise PdfPageDamaged("The page has no size.")
    scale = _DPI / 72 if size is None else min(size[0] / points.width, size[1] / points.height)
    if points.width * scale * points.height * scale > max_pixels:
        if size is not None:
            raise ImageTooLarge(f"The page has {size[0]} x {size[1]} pixels; {max_pixels} are allowed.")
        scale = math.sqrt(max_pixels / (points.width * points.height)) * 0.99
    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError:
        raise PdfPageDamaged() from None
    try:
        if (count := raw.FPDFPage_CountObjects(page.raw)) > _MOST_OBJECTS:
            raise PdfPageTooComplex(f"The page has {count} objects, more than {_MOST_OBJECTS}.")
        picture: Image.Image = page.render(scale=scale, rev_byteorder=True).to_pil()
        return picture.convert("RGB")
    finally:
        page.close()
