"""What is written on a page: Block > Paragraph > Line > Word > Symbol, each with its polygon and confidence."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ocrqueue.document.geometry import Box, Polygon
from ocrqueue.document.stored_files import Crop
from ocrqueue.document.values import Value, is_unset
from ocrqueue.job.route import Share

Confidence = Annotated[float, Field(ge=0, le=1)]
_SHOWN: Final = 60
"""Letters of a text in the repr of what has it."""


class Region(Value):
    polygon: Polygon
    bbox: Box
    confidence: Confidence | None = Field(default=None, description="Null if the engine gives none.")


class Symbol(Region):
    """A character as printed, or several that are one letter together."""

    text: str


class Word(Region):
    id: str = Field(description="p001-w0001: unique in the Document.")
    text: str
    raw_confidence: Confidence | None = Field(
        default=None,
        exclude_if=is_unset,
        description="As the engine gave it, if `confidence` is calibrated: the share of such words that are right.",
    )
    detection_confidence: Confidence | None = Field(
        default=None,
        description="Confidence that there is a word here, if the engine has a detector of its own; else null.",
    )
    crop: Crop | None = None
    space_after: bool = Field(
        default=True, description="false: the line's next word follows without a space, as in Chinese or Japanese."
    )
    reading: Literal["page", "crop", "unknown"] = Field(
        default="page", description="The step that gave the text: the whole page, or the word's crop read again."
    )
    symbols: tuple[Symbol, ...] | None = Field(
        default=None,
        exclude_if=is_unset,
        description="Its characters, if the engine gives them and the job's options ask for them.",
    )
    engine: str | None = Field(
        default=None,
        exclude_if=is_unset,
        description="The engine that read this word, if it is not the page's: its line was read again.",
    )
    readings: dict[str, str | None] = Field(
        default={},
        exclude_if=is_unset,
        description="With compare: what each other engine read in this place; null if it found no word.",
    )
    agreement: Share | None = Field(
        default=None,
        exclude_if=is_unset,
        description="With compare: the share of the other engines that read the same text here.",
    )

    @property
    def engine_confidence(self) -> float | None:
        """As the engine gave it, calibrated or not: what thresholds look at, which were chosen for the engine."""
        return self.confidence if self.raw_confidence is None else self.raw_confidence


class _Lines(Region):
    """A part of a page that is shown by its text."""

    @property
    def text(self) -> str:
        raise NotImplementedError

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        if not self.__dict__:
            return  # it could not be made, and is shown in a traceback
        text = self.text
        yield "text", text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        yield "bbox", self.bbox


class Line(_Lines):
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return "".join(word.text + (" " if word.space_after else "") for word in self.words).rstrip(" ")

    @property
    def dir(self) -> Literal["ltr", "rtl"]:
        """The direction of its first letter, as rule P2 of Unicode's annex 9 has it. Words, and letters in them, are in
        the order in which they are read, whichever it is."""
        kinds = (unicodedata.bidirectional(letter) for word in self.words for letter in word.text)
        return "rtl" if next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L" else "ltr"


class Paragraph(_Lines):
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


class Block(_Lines):
    paragraphs: tuple[Paragraph, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(paragraph.text for paragraph in self.paragraphs)


def mean_confidence(parts: Sequence[Region]) -> float | None:
    """Mean of the known confidences; null where none is known."""
    known = [part.confidence for part in parts if part.confidence is not None]
    return round(sum(known) / len(known), 4) if known else None
