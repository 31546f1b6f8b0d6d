"""A page: its text in blocks, and how it came to be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, computed_field

from ocrqueue.document.regions import Block, Confidence, Line, Word
from ocrqueue.document.values import ObjectReader, Value, is_empty, is_unset
from ocrqueue.errors import ErrorInfo
from ocrqueue.job.names import PreparationStep
from ocrqueue.job.route import Share

Verdict = Literal["kept", "page sent on", "lines sent on", "failed", "unknown"]


class PageReading(Value):
    """How one engine of a route fared with a page."""

    engine: str
    words: int
    mean_confidence: Share | None = Field(
        default=None, description="Mean of the words' confidences as the engine gave them, which thresholds look at."
    )
    low_share: Share | None = Field(default=None, description="The share of words below fallback_low_word.")
    seconds: float = Field(default=0.0, description="Seconds that the engine took for the page.")
    verdict: Verdict
    reason: str = Field(default="", description="What was measured against which threshold.")


class Preparation(Value):
    """What was done to the page before it was read."""

    steps: tuple[Literal[PreparationStep, "unknown"], ...] = Field(description="In order.")
    angle: float = Field(
        default=0.0, description="Degrees clockwise by which its lines were tilted, beyond `rotation`."
    )
    scale: float = Field(default=1.0, description="How many times it was enlarged.")
    tiles: int = Field(
        default=1, description="Number of parts in which it was read, because of the engine's longest side."
    )


class Page(Value):
    number: Annotated[int, Field(ge=1)]
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    dpi: float | None = Field(default=None, description="Dots per inch as the file states them; null if it does not.")
    size_pt: tuple[float, float] | None = Field(
        default=None,
        exclude_if=is_unset,
        description="Width and height in points of a PDF's page, as shown; dpi is what it was drawn or scanned at.",
    )
    rotation: Literal[0, 90, 180, 270] = Field(
        default=0, description="Degrees clockwise by which the page's text is turned; turn it back by as much to read."
    )
    rotation_confidence: float | None = Field(default=None, description="The engine's own score, if it detected.")
    languages: tuple[str, ...] = ()
    text_case: Literal["kept", "lower", "unknown"] = Field(
        default="kept", description="lower: the engine writes all letters in lower case, whatever the page shows."
    )
    source: Literal["pdf", "unknown"] | None = Field(
        default=None,
        exclude_if=is_unset,
        description="pdf: the words are the PDF's own text, and no engine has read the page.",
    )
    layout: Literal["engine", "inferred", "unknown"] = Field(
        default="engine", description="inferred: the engine gives words only, lines were grouped by geometry."
    )
    blocks: tuple[Block, ...] = ()
    preparation: Preparation | None = Field(
        default=None,
        exclude_if=is_unset,
        description="How the page was made easier to read, if it was; see docs/images.md.",
    )
    engine: str | None = Field(
        default=None,
        description="The engine that read this page, if the job asked for several; else it is the Document's.",
    )
    trail: tuple[PageReading, ...] = Field(
        default=(), description="The engines that have read it, in order, if the job asked for several."
    )
    unread: tuple[Confidence, ...] = Field(
        default=(),
        exclude_if=is_empty,
        description="Where the job asked for several engines: the confidences of words that one made of what none "
        "could read. They are in no line, and count in mean_confidence.",
    )
    raw_unread: tuple[Confidence, ...] = Field(
        default=(), exclude_if=is_empty, description="The same as the engine gave them, if they are calibrated."
    )
    error: ErrorInfo | None = Field(default=None, description="Why this page could not be read.")

    @computed_field(description="Words of a line joined by spaces, lines by newlines, blocks by empty lines.")  # type: ignore[prop-decorator]  # mypy#1362
    @property
    def text(self) -> str:
        return "\n\n".join(block.text for block in self.blocks)

    @property
    def engine_unread(self) -> tuple[float, ...]:
        """`unread` as the engine gave them, calibrated or not."""
        return self.raw_unread or self.unread

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        if not self.__dict__:
            return  # it could not be made, and is shown in a traceback
        yield "number", self.number
        yield "width", self.width
        yield "height", self.height
        yield "words", sum(1 for _ in self.words())
        if self.error is not None:
            yield "error", self.error.code

    def bind(self, storage: ObjectReader) -> Self:
        """Let `word.crop.open()` be read from `storage`. Returns the same."""
        for word in self.words():
            if word.crop is not None:
                word.crop.bind(storage)
        return self

    def lines(self) -> Iterator[Line]:
        for block in self.blocks:
            for paragraph in block.paragraphs:
                yield from paragraph.lines

    def words(self) -> Iterator[Word]:
        for line in self.lines():
            yield from line.words
