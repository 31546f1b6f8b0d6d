"""The second step: every word that the page gave is cropped and read again on its own."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

from PIL.Image import Image
from PIL.ImageOps import expand

from ocrqueue.document import Block, Line, Paragraph, Word, mean_confidence
from ocrqueue_worker.engines.tesseract.backend import Output
from ocrqueue_worker.engines.tesseract.tsv import parse_output
from ocrqueue_worker.images.cropping import crop_word

_PADDING_PX: Final = 2
_MARGIN_PX: Final = 10
"""White around the crop: Tesseract misreads text that touches the border."""


def reread_words(
    blocks: tuple[Block, ...],
    page: Image,
    rotation: int,
    read_crop: Callable[[Image], Output],
    only: Container[str] | None = None,
) -> tuple[Block, ...]:
    """`blocks` with each word as the better of its two readings; boxes stay as the page gave them.

    `read_crop` reads one crop on its own. `only`: the ids of the words, where not all are read again.
    """

    def reread(word: Word) -> Word:
        if only is not None and word.id not in only:
            return word
        crop = expand(crop_word(page, word, rotation, _PADDING_PX), _MARGIN_PX, fill=_background(page, word))
        second = [
            found
            for block in parse_output(read_crop(crop), 1, lambda polygon: polygon)
            for paragraph in block.paragraphs
            for line in paragraph.lines
            for found in line.words
        ]
        if only is not None:  # what is beside the word
            second = [found for found in second if any(map(str.isalnum, found.text))] or second
        confidence = mean_confidence(second)
        if confidence is None or confidence <= (word.confidence or 0.0):
            return word
        text = " ".join(found.text for found in second)
        return word.model_copy(update={"text": text, "confidence": confidence, "reading": "crop"})

    def each_line(line: Line) -> Line:
        words = tuple(reread(word) for word in line.words)
        return line.model_copy(update={"words": words, "confidence": mean_confidence(words)})

    def each_paragraph(paragraph: Paragraph) -> Paragraph:
        lines = tuple(each_line(line) for line in paragraph.lines)
        words = [word for line in lines for word in line.words]
        return paragraph.model_copy(update={"lines": lines, "confidence": mean_confidence(words)})

    def each_block(block: Block) -> Block:
        paragraphs = tuple(each_paragraph(paragraph) for paragraph in block.paragraphs)
        words = [word for paragraph in paragraphs for line in paragraph.lines for word in line.words]
        return block.model_copy(update={"paragraphs": paragraphs, "confidence": mean_confidence(words)})

    return tuple(each_block(block) for block in blocks)


def _background(page: Image, word: Word) -> int | tuple[int, ...]:
    """The pixel left above the word: the paper's colour, mostly."""
    left, top, _, _ = word.bbox
    x = min(max(int(left) - _PADDING_PX, 0), page.width - 1)
    y = min(max(int(top) - _PADDING_PX, 0), page.height - 1)
    pixel = page.getpixel((x, y))
    return tuple(int(value) for value in pixel) if isinstance(pixel, tuple) else int(pixel or 0)
