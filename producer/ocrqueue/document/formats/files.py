"""The files that a Document is written to, in any format: their names, kinds, and what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, Final

from ocrqueue.document import Document
from ocrqueue.document.formats import FORMATS
from ocrqueue.document.formats.page_xml import page_file
from ocrqueue.job.names import NEEDS_IMAGE

if TYPE_CHECKING:
    from ocrqueue.document.formats.isolated_pdf import PdfLimits
    from ocrqueue.document.formats.page_image import ImageFile

OnPage = Callable[[], None]


@dataclass(frozen=True, slots=True)
class FileKind:
    ending: str
    content_type: str


KINDS: Final[Mapping[str, FileKind]] = MappingProxyType(
    {
        "text": FileKind("txt", "text/plain; charset=utf-8"),
        "text-layout": FileKind("layout.txt", "text/plain; charset=utf-8"),
        "json": FileKind("json", "application/json"),
        "jsonl": FileKind("jsonl", "application/x-ndjson"),
        "tsv": FileKind("tsv", "text/tab-separated-values; charset=utf-8"),
        "csv": FileKind("csv", "text/csv; charset=utf-8"),
        "markdown": FileKind("md", "text/markdown; charset=utf-8"),
        "hocr": FileKind("hocr", "text/vnd.hocr+html; charset=utf-8"),
        "alto": FileKind("alto.xml", "application/xml"),
        "page": FileKind("page.xml", "application/xml"),
        "pdf": FileKind("pdf", "application/pdf"),
        "overlay-pdf": FileKind("overlay.pdf", "application/pdf"),
        "overlay-html": FileKind("overlay.html", "text/html; charset=utf-8"),
    }
)
"""By format: job.names.OUTPUTS."""


def page_numbers(document: Document, name: str) -> tuple[int | None, ...]:
    """For each file in the format `name`, the number of its page; None stands for all pages.

    PAGE XML is a file a page; where there is one page only, it is the whole.
    """
    if name == "page" and len(document.pages) != 1:
        return document.page_numbers
    return (None,)


def file_name(stem: str, name: str, number: int | None = None) -> str:
    """`stem` with the format's ending: NAME.pdf, or NAME-p001.page.xml for one page of several."""
    page = "" if number is None else f"-p{number:03d}"
    return f"{stem}{page}.{KINDS[name].ending}"


def write_file(
    document: Document,
    name: str,
    target: BinaryIO,
    image: Callable[[], ImageFile],
    *,
    number: int | None = None,
    on_page: OnPage = lambda: None,
    isolated: PdfLimits | None = None,
) -> None:
    """Write `document`, or page `number` of it, in the format `name`, page by page, in UTF-8.

    `image` gives the file that was read to those formats that show it: NEEDS_IMAGE. Raises what reading it raises. With
    `isolated`, pages of a PDF are taken over in a process of its own, within these limits; PdfOutputFailed tells of its
    end.
    """
    if name not in NEEDS_IMAGE:
        pieces = iter([page_file(document, number)]) if number is not None else FORMATS[name](document)
        _write(pieces, target, on_page)
        return
    # Pillow is loaded by those who need it only
    from ocrqueue.document.formats.overlay_html import overlay_html_pieces
    from ocrqueue.document.formats.pdf import write_pdf
    from ocrqueue.document.signatures import is_pdf

    with image() as file:
        if name == "overlay-html":
            _write(overlay_html_pieces(document, file), target, on_page)
            return
        annotated = name == "overlay-pdf"
        if isolated is None or not is_pdf(file.data):
            write_pdf(document, file, target, annotated=annotated, on_page=on_page)
            return
        from ocrqueue.document.formats.isolated_pdf import write_isolated

        write_isolated(document, file, target, isolated, annotated=annotated, on_page=on_page)


def _write(pieces: Iterator[str], target: BinaryIO, on_page: OnPage) -> None:
    for piece in pieces:
        target.write(piece.encode("utf-8", "replace"))
        on_page()
