"""Plain text."""

from __future__ import annotations

from collections.abc import Iterator

from ocrqueue.document import Document, Page, Paragraph
from ocrqueue.document.formats.sanitise import inline_text


def text_pieces(document: Document) -> Iterator[str]:
    """Lines joined by newlines, paragraphs and blocks by empty lines, pages by a newline and a form feed.

    That is `document.text` and a newline at the end, save that no word can break a line or steer a terminal.
    """
    for number, page in enumerate(document.pages):
        yield ("\n\f" if number else "") + _page_text(page)
    yield "\n"


def _page_text(page: Page) -> str:
    paragraphs = (paragraph for block in page.blocks for paragraph in block.paragraphs)
    return "\n\n".join(_paragraph_text(paragraph) for paragraph in paragraphs)


def _paragraph_text(paragraph: Paragraph) -> str:
    return "\n".join(inline_text(line.text) for line in paragraph.lines)
