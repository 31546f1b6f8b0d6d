"""A Document written in the formats that people and other programs read.

FORMATS are written from the Document alone. What shows the page too, and needs its image, is apart: `pdf` (a
searchable PDF), and `overlay` and `overlay_html` (the page with its words marked).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ocrqueue.document import Document
from ocrqueue.document.formats.alto import alto_pieces
from ocrqueue.document.formats.csv_words import csv_pieces
from ocrqueue.document.formats.hocr import hocr_pieces
from ocrqueue.document.formats.json_text import json_lines_pieces, json_pieces
from ocrqueue.document.formats.layout_text import layout_text_pieces
from ocrqueue.document.formats.markdown import markdown_pieces
from ocrqueue.document.formats.page_xml import page_pieces
from ocrqueue.document.formats.text import text_pieces
from ocrqueue.document.formats.tsv import tsv_pieces

__all__ = ["FORMATS", "render", "written_pieces"]

FORMATS: Final[Mapping[str, Callable[[Document], Iterator[str]]]] = MappingProxyType(
    {
        "text": text_pieces,
        "text-layout": layout_text_pieces,
        "json": json_pieces,
        "jsonl": json_lines_pieces,
        "tsv": tsv_pieces,
        "csv": csv_pieces,
        "markdown": markdown_pieces,
        "hocr": hocr_pieces,
        "alto": alto_pieces,
        "page": page_pieces,
    }
)


def written_pieces(document: Document, name: str) -> Iterator[str]:
    """`document` in the format `name`, one of FORMATS, page by page. Raises ValueError for another name."""
    if name not in FORMATS:
        raise ValueError(f"no format {name[:40]!r}; choose one of: {', '.join(FORMATS)}")
    return FORMATS[name](document)


def render(document: Document, name: str) -> str:
    """`document` in the format `name` as one string; ends with a newline. Raises ValueError for another name."""
    return "".join(written_pieces(document, name))
