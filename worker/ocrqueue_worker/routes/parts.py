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
from ocrqueue_worker.routes.places import is_covered

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
        line, before = lines[place], 0
        stayed: list[Sequence[Word]] = []
        again: list[Sequence[Word]] = []
        for part, own in zip(parts, settled, strict=True):
            if part.place == place and own is not None:
                stayed.append(line.words[before : part.first])
                again.append(own.words)
                before = part.end
        words = _in_order(stayed, again, line.words[before:])
        update = {"words": words, "confidence": mean_confidence(words)}
        read[place] = line.model_copy(update=update) if again else None
    return read


def _in_order(
    stayed: Sequence[Sequence[Word]], again: Sequence[Sequence[Word]], rest: Sequence[Word]
) -> tuple[Word, ...]:
    """The words of a line: those that stayed before each part, those of the part as it was read again, and the rest.

    A part is read with what is around it. So two may have read the same word, such as a colon between them: the part
    that is surer has it. Or one has read a piece of a word of the other, or the whole of one that stayed, which was
    placed too narrow.
    """
    # of two that are as sure, the first
    sure = [(-_sure(part), number) for number, part in enumerate(again)]
    kept = [
        [
            word
            for word in part
            if not any(
                _is_double(word, other, sure[at] < sure[number]) for at, other in enumerate(again) if at != number
            )
        ]
        for number, part in enumerate(again)
    ]
    new = [word for part in kept for word in part]
    words: list[Word] = []
    for before, part in zip((*stayed, rest), (*kept, ()), strict=True):
        words += [word for word in before if not any(is_covered(word, [other]) for other in new)]
        words += part
    return tuple(words)


def _is_double(word: Word, others: Sequence[Word], surer: bool) -> bool:
    """Whether the word stands within one of `others`, or, if these are surer, is the same as one of them."""
    return any(is_covered(word, [other]) and (surer or not is_covered(other, [word])) for other in others)


def _sure(words: Sequence[Word]) -> float:
    known = [confidence for word in words if (confidence := word.engine_confidence) is not None]
    return sum(known) / len(known) if known else 0.0


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
