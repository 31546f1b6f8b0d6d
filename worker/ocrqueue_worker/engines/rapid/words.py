"""A line's text as words, placed by the columns of the recogniser's output in which their characters came out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from ocrqueue.document import Word, box_of
from ocrqueue_worker.engines.rapid.lines import stretch
from ocrqueue_worker.engines.rapid.networks import LineText
from ocrqueue_worker.engines.rapid.scaling import Points
from ocrqueue_worker.engines.rapid.scripts import is_ideographic


@dataclass(frozen=True)
class PlacedWord:
    text: str
    start: float
    """From 0 to 1 along the line, as `end`."""
    end: float
    confidence: float
    space_after: bool


@dataclass(frozen=True)
class _Run:
    """Places of the first and last character, from 0 to 1 along the line."""

    text: str
    first: float
    last: float
    confidence: float
    space_after: bool


def placed_words(line: LineText) -> list[PlacedWord]:
    """The words of a line from left to right, none overlapping the next.

    A word ends at white space, and where Chinese or Japanese letters meet others; between these is no space. It reaches
    half a character beyond the middles of its first and last one.
    """
    runs = list(_runs(line))
    if not runs:
        return []
    half = _pitch(runs) / 2
    edges = [max(0.0, runs[0].first - half)]
    for one, other in pairwise(runs):
        end, start = one.last + half, other.first - half
        edges += [end, start] if end <= start else [(end + start) / 2] * 2
    edges.append(min(1.0, runs[-1].last + half))
    return [
        PlacedWord(run.text, _within(start), _within(max(start, end)), run.confidence, run.space_after)
        for run, start, end in zip(runs, edges[::2], edges[1::2], strict=True)
    ]


def _within(place: float) -> float:
    """Characters may be read in what fills a short picture up to the length of those read with it."""
    return min(1.0, max(0.0, place))


def as_words(line: LineText, corners: Points, detection: float | None) -> list[Word]:
    """`corners`: 4 x 2, of the line in reading order, in pixels of the page. Ids are empty."""
    words = []
    for placed in placed_words(line):
        polygon = stretch(corners, placed.start, placed.end)
        words.append(
            Word(
                id="",
                text=placed.text,
                polygon=polygon,
                bbox=box_of([polygon]),
                confidence=round(placed.confidence, 4),
                detection_confidence=None if detection is None else round(min(1.0, detection), 4),
                space_after=placed.space_after,
            )
        )
    return words


def _runs(line: LineText) -> Iterator[_Run]:
    places = iter(line.places)
    text, held, confidences = "", [0.0], [0.0]
    ideographic: bool | None = None
    for character, confidence in zip(line.text, line.confidences, strict=True):
        if character.isspace():
            if text:
                yield _Run(text, held[0], held[-1], fmean(confidences), True)
            text, ideographic = "", None
            continue
        own = is_ideographic(character)
        if text and None not in (ideographic, own) and ideographic != own:
            yield _Run(text, held[0], held[-1], fmean(confidences), False)
            text, ideographic = "", None
        if not text:
            held, confidences = [], []
        text += character
        held.append(next(places))
        confidences.append(confidence)
        ideographic = ideographic if own is None else own
    if text:
        yield _Run(text, held[0], held[-1], fmean(confidences), True)


def _pitch(runs: list[_Run]) -> float:
    """From one character to the next, usually; of the line."""
    steps = [(run.last - run.first, len(run.text) - 1) for run in runs if len(run.text) > 1]
    if steps:
        return sum(way for way, _ in steps) / sum(count for _, count in steps)
    return 1 / sum(len(run.text) + 1 for run in runs)
