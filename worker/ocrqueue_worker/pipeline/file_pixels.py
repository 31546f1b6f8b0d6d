"""Pages that were stretched to be read, in the file's own pixels; and back, for crops and for lines read again."""

from __future__ import annotations

from typing import TypeVar

from ocrqueue.document import Block, Box, Line, Page, Paragraph, Polygon, Region, Symbol, Word
from ocrqueue_worker.images.page import PageImage

R = TypeVar("R", bound=Region)

Scale = tuple[float, float]


def in_file_pixels(page: Page, image: PageImage) -> Page:
    """`page`, as read on `image`, in the file's pixels: itself where they are the same."""
    if image.file_size is None:
        return page
    width, height = image.file_size
    return _scaled(page, (width / image.image.width, height / image.image.height), image.file_size)


def on_image(page: Page, image: PageImage) -> Page:
    """The inverse of in_file_pixels()."""
    if image.file_size is None:
        return page
    width, height = image.file_size
    return _scaled(page, (image.image.width / width, image.image.height / height), image.image.size)


def _scaled(page: Page, scale: Scale, size: tuple[int, int]) -> Page:
    blocks = tuple(_block(block, scale) for block in page.blocks)
    return page.model_copy(update={"width": size[0], "height": size[1], "blocks": blocks})


def _block(block: Block, scale: Scale) -> Block:
    return _region(block, scale, paragraphs=tuple(_paragraph(each, scale) for each in block.paragraphs))


def _paragraph(paragraph: Paragraph, scale: Scale) -> Paragraph:
    return _region(paragraph, scale, lines=tuple(_line(line, scale) for line in paragraph.lines))


def _line(line: Line, scale: Scale) -> Line:
    return _region(line, scale, words=tuple(_word(word, scale) for word in line.words))


def _word(word: Word, scale: Scale) -> Word:
    if word.symbols is None:
        return _region(word, scale)
    symbols: tuple[Symbol, ...] = tuple(_region(symbol, scale) for symbol in word.symbols)
    return _region(word, scale, symbols=symbols)


def _region(region: R, scale: Scale, **parts: object) -> R:
    across, down = scale
    left, top, right, bottom = region.bbox
    first, second, third, fourth = ((round(x * across, 2), round(y * down, 2)) for x, y in region.polygon)
    polygon: Polygon = (first, second, third, fourth)
    bbox: Box = (round(left * across, 2), round(top * down, 2), round(right * across, 2), round(bottom * down, 2))
    return region.model_copy(update={"polygon": polygon, "bbox": bbox, **parts})
