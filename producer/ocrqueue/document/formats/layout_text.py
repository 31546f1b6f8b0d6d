"""Plain text that keeps the page's layout: each word about where it stands on the page, as `pdftotext -layout` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final
from unicodedata import east_asian_width

from ocrqueue.document import Document, Page, Word
from ocrqueue.document.formats.sanitise import inline_text, pixel_box

_MOST_COLUMNS: Final = 400
_MOST_EMPTY_ROWS: Final = 3


@dataclass(frozen=True, slots=True)
class _Placed:
    """A word on the page turned so that its text is upright."""

    text: str
    left: float
    right: float
    middle: float
    height: float
    space_after: bool


def layout_text_pieces(document: Document) -> Iterator[str]:
    """Columns stay side by side; pages are separated by form feeds. Wide characters take two columns."""
    for number, page in enumerate(document.pages):
        yield ("\n\f" if number else "") + _page_text(page)
    yield "\n"


def _page_text(page: Page) -> str:
    placed = sorted((_placed(word, page) for word in page.words()), key=lambda item: item.middle)
    placed = [item for item in placed if item.text]
    if not placed:
        return ""
    character = max(median((item.right - item.left) / columns_of(item.text) for item in placed), 1.0)
    width = page.height if page.rotation in {90, 270} else page.width
    character = max(character, width / _MOST_COLUMNS)
    height = max(median(item.height for item in placed), 1.0)
    rows = _rows(placed, height)
    first_column = min(item.left for item in placed)
    written = []
    for row, above in zip(rows, [None, *rows], strict=False):
        if above is not None:
            gap = (_middle(row) - _middle(above)) / height
            written += [""] * min(max(round(gap / 1.5) - 1, 0), _MOST_EMPTY_ROWS)
        written.append(_row_text(row, character, first_column))
    return "\n".join(written)


def _placed(word: Word, page: Page) -> _Placed:
    left, top, right, bottom = pixel_box(word.bbox, page)
    if page.rotation == 90:
        left, top, right, bottom = top, page.width - right, bottom, page.width - left
    elif page.rotation == 180:
        left, top, right, bottom = page.width - right, page.height - bottom, page.width - left, page.height - top
    elif page.rotation == 270:
        left, top, right, bottom = page.height - bottom, left, page.height - top, right
    return _Placed(inline_text(word.text), left, right, (top + bottom) / 2, bottom - top, word.space_after)


def _rows(placed: list[_Placed], height: float) -> list[list[_Placed]]:
    """Words whose middles are within half a line of the row's, from the top down."""
    rows: list[list[_Placed]] = []
    for item in placed:
        if rows and item.middle - _middle(rows[-1]) < height / 2:
            rows[-1].append(item)
        else:
            rows.append([item])
    return [sorted(row, key=lambda item: item.left) for row in rows]


def _middle(row: list[_Placed]) -> float:
    return row[0].middle if len(row) == 1 else median(item.middle for item in row[-9:])


def _row_text(row: list[_Placed], character: float, first_column: float) -> str:
    text, column, glued = "", 0, True
    for item in row:
        wanted = round((item.left - first_column) / character)
        # words that do not follow closely are parted, whatever the one before says of the line that it ends
        spaces = max(wanted - column, 0 if glued else 1)
        if glued and text and wanted - column < 2:
            spaces = 0
        text += " " * spaces + item.text
        column += spaces + columns_of(item.text)
        glued = not item.space_after
    return text


def columns_of(text: str) -> int:
    """Columns that `text` takes in a terminal, roughly."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
