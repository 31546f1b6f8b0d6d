"""A curve from the confidence that an engine gives to the share of words that are right with it.

It is isotonic: it never falls, so that the order of words by confidence stays. It is fitted by pooling adjacent
violators (Ayer et al. 1955, https://doi.org/10.1214/aoms/1177728423) and drawn through the middles of the pools, since
steps would give many words the same confidence.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ocrqueue.document import Confidence

LEAST_WORDS: Final = 100
"""Fewer say nothing."""
_POOL: Final = 40
"""Words that a point of the curve rests on at least."""
_MOST_POINTS: Final = 200
_PRIOR: Final = 1.0
"""Words that are right, and as many that are wrong, added to each pool: nothing is certain."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A word that was read, and whether it is what stands there."""

    raw: float
    """The engine's confidence."""
    stated: float
    """The same as the Document has it: calibrated, or not."""
    right: bool


class Curve(BaseModel):
    """Points (confidence of the engine, share of words that are right), both rising."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: Annotated[tuple[tuple[Confidence, Confidence], ...], Field(min_length=1, max_length=_MOST_POINTS)]

    @field_validator("points")
    @classmethod
    def _rises(cls, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if any(after[0] <= before[0] or after[1] < before[1] for before, after in pairwise(points)):
            raise ValueError("the points do not rise")
        return points

    def __call__(self, raw: float) -> float:
        """By straight lines between the points; as the first or last point beyond them."""
        place = bisect_right(self.points, raw, key=lambda point: point[0])
        if place in (0, len(self.points)):
            return round(self.points[max(place - 1, 0)][1], 4)
        (left, low), (right, high) = self.points[place - 1 : place + 1]
        return round(low + (high - low) * (raw - left) / (right - left), 4)


@dataclass
class _Pool:
    words: int
    right: int
    raw: float
    """Sum of the words' confidences."""

    @property
    def share(self) -> float:
        return (self.right + _PRIOR) / (self.words + 2 * _PRIOR)

    def add(self, other: _Pool) -> None:
        self.words, self.right, self.raw = self.words + other.words, self.right + other.right, self.raw + other.raw


def fitted(samples: Iterable[Sample]) -> Curve:
    """The curve of these words. Raises ValueError without any."""
    pools: list[_Pool] = []
    for pool in _filled(sorted(samples, key=lambda sample: sample.raw)):
        pools.append(pool)
        while len(pools) > 1 and pools[-2].share >= pools[-1].share:
            last = pools.pop()
            pools[-1].add(last)
    if not pools:
        raise ValueError("no words")
    points = [(round(pool.raw / pool.words, 4), round(pool.share, 4)) for pool in pools]
    # pools that lie closer together than can be told apart
    kept = [points[0], *(after for before, after in pairwise(points) if after[0] > before[0])]
    return Curve(points=tuple(kept[:: -(-len(kept) // _MOST_POINTS)]))


def _filled(ordered: Sequence[Sample]) -> Iterator[_Pool]:
    """Pools of neighbours, each of enough words; words with the same confidence are in one."""
    pool, left = _Pool(0, 0, 0.0), len(ordered)
    for _, group in groupby(ordered, key=lambda sample: sample.raw):
        same = list(group)
        pool.add(_Pool(len(same), sum(sample.right for sample in same), sum(sample.raw for sample in same)))
        left -= len(same)
        if pool.words >= _POOL and (left >= _POOL or not left):
            yield pool
            pool = _Pool(0, 0, 0.0)
    if pool.words:
        yield pool
