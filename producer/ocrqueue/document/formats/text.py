"""Plain text."""

from __future__ import annotations

from ocrqueue.document import Document, Page, Paragraph
from ocrqueue.document.formats.sanitise import inline_text


def to_text(document: Document) -> str:
    """Lines joined by newlines, paragraphs and blocks by empty lines, pages by form feeds.

    That is `document.text` and a newline at the end, save that no word can break a line or steer a terminal.
    """
    return "\f".join(_page_text(page) for page in document.pages) + "\n"


def _page_text(page: Page) -> str:
    paragraphs = (paragraph for block in page.blocks for paragraph in block.paragraphs)
    return "\n\n".join(_paragraph_text(paragraph) for paragraph in paragraphs)


def _paragraph_text(paragraph: Paragraph) -> str:
    return "\n".join(inline_text(line.text) for line in paragraph.lines)
