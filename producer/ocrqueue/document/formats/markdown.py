"""Markdown (CommonMark) in reading order: paragraphs, and a rule between pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ocrqueue.document import Document, Page, Paragraph
from ocrqueue.document.formats.sanitise import inline_text

_PAGE_BREAK: Final = "\n---\n\n"

_MARKUP: Final = frozenset("\\`*_[]<>&~|$")
"""Marks wherever they stand, those of GitHub's tables, strikethrough and formulas among them."""
_AT_START: Final = re.compile(r"([#+=:-])|(\d+)([.)])")


def markdown_pieces(document: Document) -> Iterator[str]:
    """Lines stay lines. Every character that Markdown gives a meaning is escaped: text is never taken for markup."""
    for number, page in enumerate(document.pages):
        yield (_PAGE_BREAK if number else "") + _page_markdown(page)


def _page_markdown(page: Page) -> str:
    paragraphs = (_paragraph(paragraph) for block in page.blocks for paragraph in block.paragraphs)
    return "\n\n".join(text for text in paragraphs if text) + "\n"


def _paragraph(paragraph: Paragraph) -> str:
    lines = (_line(inline_text(line.text)) for line in paragraph.lines)
    # a blank line would end the paragraph
    return "\n".join(line for line in lines if line)


def _line(text: str) -> str:
    return "".join(escaped(text))


def escaped(line: str) -> list[str]:
    """What is written for each character of a line."""
    letters = [f"\\{letter}" if letter in _MARKUP else letter for letter in line]
    if start := _AT_START.match(line):
        letters[len(start[0]) - 1] = f"\\{start[0][-1]}"
    return letters
