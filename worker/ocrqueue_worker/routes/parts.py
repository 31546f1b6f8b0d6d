"""The doubtful parts of a line, which are read again by themselves: of an article and its price, say, the price.

A line is parted where its words stand wide apart. Engines that read single lines end what they read at once there too,
so that a part alone is read as it is within its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import dist
from typing import Final

from ocrqueue.document import Line, Page, Word, box_of, mean_confidence

_GAP: Final = 0.8
"""In heights of the higher word."""


@dataclass(frozen=True)
class Part:
    """`place` of the line on the page, and which of its words these are, from `first` up to `end`."""

    place: int
    first: int
    end: int
    line: Line


def doubtful_parts(page: Page, places: Sequence[int], below: float) -> list[Part]:
    """The parts of these lines whose mean confidence is too low, in order; the whole line if no part's is."""
    lines, found = list(page.lines()), []
    for place in places:
        every = list(_parts(place, lines[place]))
        doubtful = [part for part in every if _is_doubtful(part, below)]
        found += doubtful or [Part(place, 0, len(lines[place].words), lines[place])]
    return found


def has_doubtful_part(line: Line, below: float) -> bool:
    return any(_is_doubtful(part, below) for part in _parts(0, line))


def put_together(page: Page, parts: Sequence[Part], settled: Sequence[Line | None]) -> dict[int, Line | None]:
    """By place, the lines with the parts that were read again; None where nothing of a line has changed.

    `settled`: what takes the place of each part, None: it stays. Words that stay are the same objects.
    """
    lines = list(page.lines())
    read: dict[int, Line | None] = {}
    for place in dict.fromkeys(part.place for part in parts):
        words: list[Word] = []
        line, before, changed = lines[place], 0, False
        for part, own in zip(parts, settled, strict=True):
            if part.place == place and own is not None:
                words += [*line.words[before : part.first], *own.words]
                before, changed = part.end, True
        words += line.words[before:]
        update = {"words": tuple(words), "confidence": mean_confidence(words)}
        read[place] = line.model_copy(update=update) if changed else None
    return read


def _is_doubtful(part: Part, below: float) -> bool:
    """By the mean of what the engine gave its words, to four places as elsewhere in a Document."""
    known = [confidence for word in part.line.words if (confidence := word.engine_confidence) is not None]
    return bool(known) and round(sum(known) / len(known), 4) < below


def _parts(place: int, line: Line) -> list[Part]:
    words = line.words
    ends = [number for number, (one, other) in enumerate(pairwise(words), 1) if _apart(one, other)]
    return [_part(place, line, first, end) for first, end in pairwise([0, *ends, len(words)])]


def _part(place: int, line: Line, first: int, end: int) -> Part:
    words = line.words[first:end]
    if len(words) == len(line.words):
        return Part(place, first, end, line)
    start, last = words[0].polygon, words[-1].polygon
    polygon = (start[0], last[1], last[2], start[3])
    return Part(
        place,
        first,
        end,
        line.model_copy(
            update={
                "words": words,
                "polygon": polygon,
                "bbox": box_of([word.polygon for word in words]),
                "confidence": mean_confidence(words),
            }
        ),
    )


def _apart(one: Word, other: Word) -> bool:
    """Whether there is a wide gap from the end of one word to the start of the next, in the direction of the text."""
    start, end = one.polygon[0], one.polygon[1]
    length = dist(start, end)
    if not length:
        return False
    gap = sum((there - here) * (here - begun) for there, here, begun in zip(other.polygon[0], end, start, strict=True))
    height = max(dist(*one.polygon[1:3]), dist(other.polygon[0], other.polygon[3]))
    return gap / length > _GAP * height
