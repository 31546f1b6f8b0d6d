"""What was read, with the confidences calibrated: those of words by the curve, those of all around them from theirs."""

from __future__ import annotations

from ocrqueue.calibration import Curve
from ocrqueue.document import Block, Line, Page, Paragraph, Word, mean_confidence


def calibrated_page(page: Page, curve: Curve | None) -> Page:
    """`page` as it is without a curve, or where the engine is not sure or unsure of anything."""
    if curve is None or all(word.confidence is None for word in page.words()):
        return page

    def paragraph_of(paragraph: Paragraph) -> Paragraph:
        lines = tuple(calibrated_line(line, curve) for line in paragraph.lines)
        words = [word for line in lines for word in line.words]
        return paragraph.model_copy(update={"lines": lines, "confidence": mean_confidence(words)})

    def block_of(block: Block) -> Block:
        paragraphs = tuple(map(paragraph_of, block.paragraphs))
        words = [word for paragraph in paragraphs for line in paragraph.lines for word in line.words]
        return block.model_copy(update={"paragraphs": paragraphs, "confidence": mean_confidence(words)})

    return page.model_copy(update={"blocks": tuple(map(block_of, page.blocks))})


def calibrated_line(line: Line, curve: Curve | None) -> Line:
    """Characters keep the engine's confidence: right and wrong of a word say nothing of each."""
    if curve is None:
        return line
    words = tuple(_word(word, curve) for word in line.words)
    return line.model_copy(update={"words": words, "confidence": mean_confidence(words)})


def _word(word: Word, curve: Curve) -> Word:
    if word.confidence is None or word.raw_confidence is not None:
        return word
    return word.model_copy(update={"confidence": curve(word.confidence), "raw_confidence": word.confidence})
