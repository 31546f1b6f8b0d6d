"""Comma-separated values, a row for each word: for spreadsheets and data frames."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Final

from ocrqueue.document import Document, Page
from ocrqueue.document.formats.sanitise import inline_text, pixel_box

COLUMNS: Final = (
    *("page", "block", "paragraph", "line", "word", "id", "text", "confidence", "left", "top", "right", "bottom"),
    *("space_after", "engine"),
)


def csv_pieces(document: Document) -> Iterator[str]:
    """As RFC 4180 has it. Numbers count from 1 within their parent; a confidence that is not known is empty.

    A text that a spreadsheet would take for a formula is written as it is: import the column as text.
    """
    yield _rows([COLUMNS])
    for page in document.pages:
        yield _rows(_page_rows(page, document.engine.name))


def word_columns(document: Document) -> dict[str, list[object]]:
    """The same, by column; a confidence that is not known is None."""
    rows = [row for page in document.pages for row in _page_rows(page, document.engine.name)]
    columns = {name: [row[number] for row in rows] for number, name in enumerate(COLUMNS)}
    columns["confidence"] = [None if value == "" else value for value in columns["confidence"]]
    columns["space_after"] = [value == "true" for value in columns["space_after"]]
    return columns


def _rows(rows: Iterator[tuple[object, ...]] | list[tuple[str, ...]]) -> str:
    written = StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _page_rows(page: Page, engine: str) -> Iterator[tuple[object, ...]]:
    for block_number, block in enumerate(page.blocks, 1):
        for paragraph_number, paragraph in enumerate(block.paragraphs, 1):
            for line_number, line in enumerate(paragraph.lines, 1):
                for word_number, word in enumerate(line.words, 1):
                    yield (
                        *(page.number, block_number, paragraph_number, line_number, word_number),
                        *(inline_text(word.id), inline_text(word.text)),
                        "" if word.confidence is None else word.confidence,
                        *pixel_box(word.bbox, page),
                        "true" if word.space_after else "false",
                        inline_text(word.engine or page.engine or engine),
                    )
