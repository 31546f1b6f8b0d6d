"""Pages made of what several engines read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final

from ocrqueue.document import Block, Line, Page, Paragraph, Word, mean_confidence
from ocrqueue_worker.layout.word_ids import word_id
from ocrqueue_worker.routes.assessment import confidences, mean_of
from ocrqueue_worker.routes.doubles import without_doubles
from ocrqueue_worker.routes.places import uncovered

_TEXT: Final = 0.5
"""Mean confidence from which a line is taken to be text; as RapidOCR's `text_score`."""
_TEXT_IN_DOUBT: Final = 0.7
"""The same for a line that one engine was not sure of, when another reads it: noise has been read with 0.6."""


def settled(first: Line, second: Line) -> Line | None:
    """What takes the place of a line that was read again; None: it stays as it was.

    The second reading, if its engine takes it for text; else the first, if that one does; else a line without words:
    of specks, rules and pictures.
    """
    words = [word for word in second.words if word.text]
    confidence, before = mean_of(words), mean_of(first.words)
    if words and (confidence is None or confidence >= _TEXT_IN_DOUBT):
        return second
    return first.model_copy(update={"words": ()}) if before is not None and before < _TEXT else None


def with_lines(page: Page, read_again: Mapping[int, Line | None], engine: str) -> Page:
    """`page` with the lines at these places as `engine` read them; its words are numbered again, in order.

    None: the line stays. Words that are those of `page` itself stay its own. A line without words is left out, and with
    it a paragraph or block that has no other. Where a word stood and none stands now, it is `unread`.
    """
    numbers, places = count(1), count()
    first = list(page.lines())
    kept = without_doubles(first, read_again)
    own = {id(word) for line in first for word in line.words}

    def numbered(word: Word, by: str | None) -> Word:
        update = {"id": word_id(page.number, next(numbers)), "engine": by or word.engine, "crop": None}
        return word.model_copy(update=update)

    def line_of(line: Line) -> Line:
        other = kept.get(next(places))
        words = tuple(numbered(word, None if id(word) in own else engine) for word in (other or line).words)
        if other is None:
            return line.model_copy(update={"words": words})
        # where the line stands is for the engine to say that looked for it; the words within are the other's
        return line.model_copy(update={"words": words, "confidence": mean_confidence(words)})

    def paragraph_of(paragraph: Paragraph) -> Paragraph:
        lines = tuple(line for line in map(line_of, paragraph.lines) if line.words)
        return paragraph.model_copy(update={"lines": lines, "confidence": mean_confidence(lines)})

    def block_of(block: Block) -> Block:
        paragraphs = tuple(paragraph for paragraph in map(paragraph_of, block.paragraphs) if paragraph.lines)
        return block.model_copy(update={"paragraphs": paragraphs, "confidence": mean_confidence(paragraphs)})

    blocks = tuple(block for block in map(block_of, page.blocks) if block.paragraphs)
    merged = page.model_copy(update={"blocks": blocks})
    lost = uncovered([word for place in read_again for word in first[place].words], list(merged.words()))
    unread = (*page.unread, *(word.confidence for word in lost if word.confidence is not None))
    raw = (*page.engine_unread, *confidences(lost))
    return merged.model_copy(update={"unread": unread, "raw_unread": raw if raw != unread else ()})


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
