"""How far confidences are from what they say: the expected calibration error, and what a reliability diagram shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ocrqueue.calibration.curve import Sample, fitted

BINS: Final = 15
"""Of equal width, as in Guo et al. 2017 (https://arxiv.org/abs/1706.04599)."""
_FOLDS: Final = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The words whose confidences lie in one part of 0 to 1."""

    words: int
    confidence: float
    """Mean."""
    right: float
    """Share."""


def bins(stated: Iterable[tuple[float, bool]], count: int = BINS) -> list[Bin]:
    """Of confidences with whether the word is right: the parts that have words, in order."""
    parts: list[list[tuple[float, bool]]] = [[] for _ in range(count)]
    for confidence, right in stated:
        parts[min(int(confidence * count), count - 1)].append((confidence, right))
    return [
        Bin(
            len(part),
            sum(confidence for confidence, _ in part) / len(part),
            sum(right for _, right in part) / len(part),
        )
        for part in parts
        if part
    ]


def calibration_error(stated: Iterable[tuple[float, bool]], count: int = BINS) -> float:
    """Expected calibration error: the mean over the words of how far, in their bin, mean confidence and share of right
    words are apart. 0 without words."""
    parts = bins(stated, count)
    words = sum(part.words for part in parts)
    return sum(part.words * abs(part.confidence - part.right) for part in parts) / words if words else 0.0


def as_given(pages: Iterable[Iterable[Sample]]) -> list[tuple[float, bool]]:
    """The engine's own confidences."""
    return [(sample.raw, sample.right) for page in pages for sample in page]


def as_stated(pages: Iterable[Iterable[Sample]]) -> list[tuple[float, bool]]:
    """The confidences of the Documents."""
    return [(sample.stated, sample.right) for page in pages for sample in page]


def held_out(pages: Sequence[Sequence[Sample]], folds: int = _FOLDS) -> list[tuple[float, bool]]:
    """The confidences as calibrated by a curve that was fitted to other pages: each page's by those of other folds.

    Raises ValueError with fewer than two pages that have words.
    """
    pages = [page for page in pages if page]
    folds = min(folds, len(pages))
    if folds < 2:
        raise ValueError("two pages at least")
    found: list[tuple[float, bool]] = []
    for fold in range(folds):
        curve: Callable[[float], float] = fitted(
            sample for place, page in enumerate(pages) if place % folds != fold for sample in page
        )
        found += [(curve(sample.raw), sample.right) for page in pages[fold::folds] for sample in page]
    return found
