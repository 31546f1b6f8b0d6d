"""A Document written in the formats that people and other programs read.

The picture of a page with its words marked is in `ocrqueue.document.formats.overlay`: it needs Pillow, these do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ocrqueue.document import Document
from ocrqueue.document.formats.hocr import to_hocr
from ocrqueue.document.formats.text import to_text
from ocrqueue.document.formats.tsv import to_tsv

__all__ = ["FORMATS", "render", "to_hocr", "to_json", "to_text", "to_tsv"]


def to_json(document: Document) -> str:
    """The Document as in result.json, indented; nothing is left out."""
    return document.model_dump_json(indent=2) + "\n"


FORMATS: Final[Mapping[str, Callable[[Document], str]]] = MappingProxyType(
    {"text": to_text, "json": to_json, "tsv": to_tsv, "hocr": to_hocr}
)


def render(document: Document, name: str) -> str:
    """`document` in the format `name`, one of FORMATS; ends with a newline. Raises ValueError for another name."""
    if name not in FORMATS:
        raise ValueError(f"no format {name[:40]!r}; choose one of: {', '.join(FORMATS)}")
    return FORMATS[name](document)
