"""Tab-separated values in the columns of `tesseract IMAGE - tsv`.

Source of the format: Tesseract 5, TessBaseAPI::GetTSVText. Rows nest as level 1 page, 2 block, 3 paragraph, 4 line,
5 word; each number counts from 1 within its parent and is 0 above its level. Fields are not quoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ocrqueue.document import Block, Box, Document, Page
from ocrqueue.document.formats.sanitise import inline_text, pixel_box

COLUMNS: Final = (
    "level",
    "page_num",
    "block_num",
    "par_num",
    "line_num",
    "word_num",
    "left",
    "top",
    "width",
    "height",
    "conf",
    "text",
)


def tsv_pieces(document: Document) -> Iterator[str]:
    """One header line, then one line for each page, block, paragraph, line and word, in reading order.

    left, top, width and height are whole pixels of the page; conf is in percent with two decimals, and -1 where the
    engine gives none and on all levels but the word's.
    """
    yield "\t".join(COLUMNS) + "\n"
    for page in document.pages:
        yield "\n".join(_page_rows(page)) + "\n"


def _page_rows(page: Page) -> Iterator[str]:
    yield _row(page, (), (0, 0, page.width, page.height))
    for number, block in enumerate(page.blocks, 1):
        yield from _block_rows(page, number, block)


def _block_rows(page: Page, block_number: int, block: Block) -> Iterator[str]:
    yield _row(page, (block_number,), block.bbox)
    for paragraph_number, paragraph in enumerate(block.paragraphs, 1):
        yield _row(page, (block_number, paragraph_number), paragraph.bbox)
        for line_number, line in enumerate(paragraph.lines, 1):
            yield _row(page, (block_number, paragraph_number, line_number), line.bbox)
            for word_number, word in enumerate(line.words, 1):
                numbers = (block_number, paragraph_number, line_number, word_number)
                yield _row(page, numbers, word.bbox, _percent(word.confidence), inline_text(word.text))


def _row(page: Page, numbers: tuple[int, ...], box: Box, conf: str = "-1", text: str = "") -> str:
    left, top, right, bottom = pixel_box(box, page)
    counts = (len(numbers) + 1, page.number, *numbers, *(0,) * (4 - len(numbers)))
    return "\t".join((*map(str, counts), str(left), str(top), str(right - left), str(bottom - top), conf, text))


def _percent(confidence: float | None) -> str:
    return "-1" if confidence is None else f"{100 * confidence:.2f}"
