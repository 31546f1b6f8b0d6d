"""Pages made of what several engines read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from ocrqueue.document import Block, Line, Page, Paragraph, Word, box_of, mean_confidence
from ocrqueue_worker.engines.engine import word_id


def with_lines(page: Page, read_again: Mapping[int, Line], engine: str) -> Page:
    """`page` with the lines at these places as `engine` read them; its words are numbered anew, in order."""
    numbers, places = count(1), count()

    def numbered(word: Word, by: str | None) -> Word:
        update = {"id": word_id(page.number, next(numbers)), "engine": by or word.engine, "crop": None}
        return word.model_copy(update=update)

    def line_of(line: Line) -> Line:
        other = read_again.get(next(places))
        words = tuple(numbered(word, engine if other else None) for word in (other or line).words)
        if other is None:
            return line.model_copy(update={"words": words})
        # where the line stands is for the engine to say that looked for it; the words within are the other's
        return line.model_copy(update={"words": words, "confidence": mean_confidence(words)})

    def paragraph_of(paragraph: Paragraph) -> Paragraph:
        lines = tuple(line_of(line) for line in paragraph.lines)
        return paragraph.model_copy(update={"lines": lines, "confidence": mean_confidence(lines)})

    def block_of(block: Block) -> Block:
        paragraphs = tuple(paragraph_of(paragraph) for paragraph in block.paragraphs)
        return block.model_copy(update={"paragraphs": paragraphs, "confidence": mean_confidence(paragraphs)})

    return page.model_copy(update={"blocks": tuple(block_of(block) for block in page.blocks)})


def without_crops(page: Page) -> Page:
    """The reading alone, of a page whose crops belong to another job."""
    return with_words(page, {word.id: word.model_copy(update={"crop": None}) for word in page.words() if word.crop})


def with_words(page: Page, words: Mapping[str, Word]) -> Page:
    """`page` with other words in the place of those with these ids."""
    if not words:
        return page

    def blocks() -> Iterator[Block]:
        for block in page.blocks:
            paragraphs = []
            for paragraph in block.paragraphs:
                lines = tuple(
                    line.model_copy(update={"words": tuple(words.get(word.id, word) for word in line.words)})
                    for line in paragraph.lines
                )
                paragraphs.append(paragraph.model_copy(update={"lines": lines}))
            yield block.model_copy(update={"paragraphs": tuple(paragraphs)})

    return page.model_copy(update={"blocks": tuple(blocks())})


def spans(page: Page) -> float:
    """Share of the page's height that its text spans; 0 for a page without."""
    polygons = [word.polygon for word in page.words()]
    if not polygons or not page.height:
        return 0.0
    _, top, _, bottom = box_of(polygons)
    return (bottom - top) / page.height
