"""JSON: the Document as in result.json, or a line for each page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import indent
from typing import Final

from ocrqueue.document import Document

_NO_PAGES: Final = '\n  "pages": []'
"""Stands once in the indented JSON of a Document without pages: in a string a newline is written as an escape."""


def json_pieces(document: Document) -> Iterator[str]:
    """The Document as in result.json, indented; nothing is left out, and a large one has its pages in it."""
    envelope = document.with_pages(()).model_dump_json(indent=2)
    if not document.pages:
        yield envelope + "\n"
        return
    head, tail = envelope.split(_NO_PAGES)
    yield head + '\n  "pages": [\n'
    for number, page in enumerate(document.pages, 1):
        # page by page: what is written takes several times the memory of what was read
        yield indent(page.model_dump_json(indent=2), "    ") + (",\n" if number < len(document.pages) else "\n")
    yield "  ]" + tail + "\n"


def json_lines_pieces(document: Document) -> Iterator[str]:
    """JSON Lines: each page as in result.json, with the job's id before it, on a line of its own."""
    start = '{"job_id":' + json.dumps(document.job_id) + ","
    for page in document.pages:
        yield start + page.model_dump_json().removeprefix("{") + "\n"
