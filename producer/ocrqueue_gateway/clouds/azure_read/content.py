"""A page's text as Azure writes it: one string in reading order, and where in it every word, line and paragraph is.

As text, lines are parted by newlines. As Markdown, paragraphs are parted by an empty line too, and what Markdown gives
a meaning is escaped. Places are counted in characters, from the page's own start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ocrqueue.document import Line, Page, Paragraph, Word
from ocrqueue.document.formats.markdown import escaped
from ocrqueue.document.formats.sanitise import inline_text
from ocrqueue_gateway.clouds.azure_read.models import ContentFormat

PAGE_BREAKS: Final[Mapping[ContentFormat, str]] = MappingProxyType(
    {"text": "\n", "markdown": "\n\n<!-- PageBreak -->\n\n"}
)
"""Between the contents of two pages."""


@dataclass(frozen=True, slots=True)
class WrittenWord:
    word: Word
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class WrittenLine:
    line: Line
    text: str
    start: int
    end: int
    words: tuple[WrittenWord, ...]


@dataclass(frozen=True, slots=True)
class WrittenParagraph:
    paragraph: Paragraph
    lines: tuple[WrittenLine, ...]

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)

    @property
    def start(self) -> int:
        return self.lines[0].start

    @property
    def end(self) -> int:
        return self.lines[-1].end


@dataclass(frozen=True, slots=True)
class PageContent:
    text: str
    paragraphs: tuple[WrittenParagraph, ...]

    def lines(self) -> Iterator[WrittenLine]:
        for paragraph in self.paragraphs:
            yield from paragraph.lines

    def words(self) -> Iterator[WrittenWord]:
        for line in self.lines():
            yield from line.words


def content_of(page: Page, content_format: ContentFormat) -> PageContent:
    """What has no text is left out."""
    pieces: list[str] = []
    place = 0
    paragraphs = []
    for paragraph in (paragraph for block in page.blocks for paragraph in block.paragraphs):
        lines: list[WrittenLine] = []
        for line in paragraph.lines:
            before = "" if not pieces else "\n" if lines or content_format == "text" else "\n\n"
            found = _line(line, content_format, place + len(before))
            if found is not None:
                written, text = found
                pieces += (before, text)
                place = written.end
                lines.append(written)
        if lines:
            paragraphs.append(WrittenParagraph(paragraph, tuple(lines)))
    return PageContent("".join(pieces), tuple(paragraphs))


def _line(line: Line, content_format: ContentFormat, start: int) -> tuple[WrittenLine, str] | None:
    """The line, and what is written for it; None where it has no text."""
    named = [(word, text) for word in line.words if (text := inline_text(word.text))]
    if not named:
        return None
    plain = "".join(text + (" " if word.space_after else "") for word, text in named[:-1]) + named[-1][1]
    letters = escaped(plain) if content_format == "markdown" else list(plain)
    words, at, place = [], 0, start
    for word, text in named:
        end = place + sum(map(len, letters[at : at + len(text)]))
        words.append(WrittenWord(word, text, place, end))
        at += len(text)
        place = end
        if word.space_after:
            at += 1
            place += 1
    written = "".join(letters)
    return WrittenLine(line, plain, start, start + len(written), tuple(words)), written
