"""What may be wrong with a file that is read all the same: the warnings of a Document, by code."""

from __future__ import annotations

from typing import Final

from ocrqueue.document import DocumentWarning

_MESSAGES: Final = {
    "image.alpha_ignored": "All of the page is transparent. Its colors were read as if they were opaque.",
    "image.background_chosen": "On white, what is opaque here would not be seen. It was laid on another background.",
    "image.checksum": "A checksum is wrong: {detail}. The pixels are whole.",
    "image.cmyk_polarity": "The CMYK JPEG has no Adobe marker. It was read the way that gives the lighter page.",
    "image.colors_alike": "Text and background are equally light. It was read by a color that tells them apart.",
    "image.end_missing": "The file's end is missing: {detail}.",
    "image.levels_stretched": "The pixels use a small part of the range that the file announces; they were stretched.",
    "image.metadata_left_out": "Left out, since it cannot be read: {detail}.",
    "image.part_missing": "Data is missing: {detail}. What is there was read.",
    "image.pixels_squared": "The pixels are not square: {detail}. The page was read as it looks on paper.",
    "image.resolution_ignored": "The file states {detail}, which cannot be right for its size. It was not heeded.",
    "pdf.dpi_lowered": "The page is too large for the resolution that was asked. It was drawn at {detail} to the inch.",
    "pdf.end_missing": "The PDF ends before its end marker. What could be found of it was read.",
    "pdf.xfa": "The PDF is an XFA form. What it shows to programs that do not know these was read.",
}

CODES: Final = tuple(_MESSAGES)


def warning(code: str, page: int | None = None, detail: str = "") -> DocumentWarning:
    """The warning of this code; `detail` stands in its message where it has a place for it."""
    return DocumentWarning(code=code, message=_MESSAGES[code].format(detail=detail), page=page)
