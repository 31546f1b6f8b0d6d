"""Stretches of text in a frame in which they are read along x, and what follows what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_PAIRS_AT_ONCE: Final = 1 << 20

_MOST_LOOKED_AT: Final = 256
"""On either side of a word; a page has less at one height, what has more is no page and is not to take minutes."""
_MOST_CANDIDATES: Final = 32
"""To follow one word."""

_TRUSTED_WIDTH: Final = 10.0
"""In heights: at this width a stretch's own slope counts as much as the slope of the text around it."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Words, or words that follow each other, by the line through the middle of their height."""

    start: Floats
    """n x 2: the middle of the left side; x in reading direction, y downwards, in pixels."""
    end: Floats
    """n x 2: the middle of the right side."""
    height: Floats
    """n; above 0."""

    def __len__(self) -> int:
        return len(self.height)

    def __getitem__(self, chosen: Indices) -> Spans:
        return Spans(self.start[chosen], self.end[chosen], self.height[chosen])

    @property
    def width(self) -> Floats:
        return np.maximum(self.end[:, 0] - self.start[:, 0], 0)

    @property
    def middle(self) -> Floats:
        return (self.start + self.end) / 2

    @property
    def own_slope(self) -> Floats:
        """n: dy / dx of each; 0 where it has no width."""
        rise = self.end[:, 1] - self.start[:, 1]
        return np.divide(rise, self.width, out=np.zeros(len(self)), where=self.width > 0)

    def slope(self) -> Floats:
        """n: dy / dx as the text around has it, and the more as its own has it the wider it is.

        The text around is a plane through all slopes: what perspective does to lines that were parallel, about.
        """
        own, aspect = self.own_slope, self.width / self.height
        weight = aspect**2
        if not weight.any():
            return own
        at = self.middle - np.average(self.middle, axis=0, weights=weight)
        at /= max(float(np.abs(at).max()), float(self.height.max()))
        terms = np.column_stack([np.ones(len(self)), at])
        around = np.full(len(self), own[weighted_median(own, weight)])
        for _ in range(3):
            # the plane leans on what is near it; a little weight on lying flat keeps it where there is little text
            near = weight / (1 + ((own - around) / 0.03) ** 2)
            normal = (terms * near[:, None]).T @ terms
            normal[np.diag_indices(3)] += np.array([1e-9, 0.02, 0.02]) * near.sum() + 1e-12
            around = terms @ np.linalg.solve(normal, (terms * near[:, None]).T @ own)
        trust = aspect**2 / (aspect**2 + _TRUSTED_WIDTH**2)
        result: Floats = trust * own + (1 - trust) * around
        return result


def weighted_median(values: Floats, weights: Floats) -> int:
    """Which of `values` half of the weight, not all of it 0, lies up to."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return int(order[np.searchsorted(reached, reached[-1] / 2)])


def joined(spans: Spans, labels: Indices) -> Spans:
    """One span for each label 0 to k - 1, along those that bear it."""
    count = int(labels.max()) + 1
    weight = np.maximum(spans.width, 1e-3 * spans.height)

    def mean(values: Floats) -> Floats:
        result: Floats = np.bincount(labels, weight * values, count) / np.bincount(labels, weight, count)
        return result

    center = np.column_stack([mean(spans.middle[:, axis]) for axis in (0, 1)])
    across, rise = np.zeros(count), np.zeros(count)
    for points in (spans.start, spans.end):
        dx, dy = (points - center[labels]).T
        across += np.bincount(labels, weight * dx * dx, count)
        rise += np.bincount(labels, weight * dx * dy, count)
    # through the middles, which ascenders and descenders move, and as the words are turned, which is as uncertain
    through = np.divide(rise, across, out=np.zeros(count), where=across > 0)
    slope = (through + mean(spans.own_slope)) / 2
    left, right = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(left, labels, spans.start[:, 0])
    np.maximum.at(right, labels, spans.end[:, 0])
    start = np.column_stack([left, center[:, 1] + slope * (left - center[:, 0])])
    end = np.column_stack([right, center[:, 1] + slope * (right - center[:, 0])])
    return Spans(start, end, mean(spans.height))


def followers(
    spans: Spans, *, most_gap: float, most_offset: float, most_ratio: float, offset_counts: float, clearance: Floats
) -> list[tuple[int, int]]:
    """Pairs (i, j) where j comes next to the right of i; each has at most one before and one after it.

    Between them is a gap of at most `most_gap` mean heights; they are shifted across by at most `most_offset` of the
    lesser height more than half their difference; neither is more than `most_ratio` times as high as the other. Of
    several the pair is taken that has the least gap and shift, a shift counting `offset_counts` times. What stands
    between two parts them even if it is shifted by more, up to the `clearance` in pixels (n) of all of them.
    """
    slope = spans.slope()
    found = []
    reach = spans.height * ((1 + most_ratio) / 2 * (1 + most_gap * np.abs(slope)) + most_offset) + clearance
    order = np.argsort(spans.start[:, 1], kind="stable")
    starts = spans.start[order, 1]
    low, high = (np.searchsorted(starts, spans.end[:, 1] + sign * reach) for sign in (-1, 1))
    for i, place in windows(low, high, np.searchsorted(starts, spans.end[:, 1])):
        j = order[place]
        lesser, greater = np.minimum(spans.height[i], spans.height[j]), np.maximum(spans.height[i], spans.height[j])
        share = spans.width[i] + spans.width[j]
        tilt = np.divide(
            slope[i] * spans.width[i] + slope[j] * spans.width[j],
            share,
            out=(slope[i] + slope[j]) / 2,
            where=share > 0,
        )
        way = spans.start[j] - spans.end[i]
        length = np.hypot(1, tilt)
        gap = (way[:, 0] + tilt * way[:, 1]) / length
        offset = np.abs(way[:, 1] - tilt * way[:, 0]) / length
        limit = most_offset * lesser + (greater - lesser) / 2
        fits = (
            (greater <= most_ratio * lesser)
            & (gap <= most_gap * (lesser + greater) / 2)
            & (gap >= -greater / 2)
            & (offset <= np.maximum(limit, np.minimum(clearance[i], clearance[j])))
            & (spans.start[j, 0] > spans.start[i, 0])
            & (spans.end[j, 0] > spans.end[i, 0])
        )
        cost = (np.maximum(gap, 0) + offset_counts * offset) / lesser
        cost[offset > limit] = np.inf
        found.append((i[fits], j[fits], gap[fits], cost[fits]))
    i, j, gap, cost = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((gap, i))
    order = order[np.arange(len(order)) - np.searchsorted(i[order], i[order]) < _MOST_CANDIDATES]
    return _matched(_direct(i[order], j[order], cost[order]))


def windows(low: Indices, high: Indices, around: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Every i with each number from low[i] to high[i] - 1, those nearest to around[i] if there are too many.

    So many pairs at once as memory bears; at least one time, be it with none.
    """
    low, high = np.maximum(low, around - _MOST_LOOKED_AT), np.minimum(high, around + _MOST_LOOKED_AT)
    counts = np.maximum(high - low, 0)
    before = np.concatenate([[0], np.cumsum(counts)])
    first = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(before, before[first] + _PAIRS_AT_ONCE, "right")) - 1)
        i = np.repeat(np.arange(first, last), counts[first:last])
        yield i, np.arange(before[first], before[last]) - before[i] + low[i]
        first = last


def _direct(first: Indices, second: Indices, costs: Floats) -> list[tuple[float, int, int]]:
    """The pairs of finite cost, less those (i, k) for which there are (i, j) and (j, k): j stands between."""
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    after: dict[int, set[int]] = {}
    for i, j in pairs:
        after.setdefault(i, set()).add(j)
    none: set[int] = set()
    direct = {i: later.difference(*(after.get(j, none) for j in later)) for i, later in after.items()}
    return [
        (cost, i, j) for cost, (i, j) in zip(costs.tolist(), pairs, strict=True) if cost < np.inf and j in direct[i]
    ]


def _matched(candidates: list[tuple[float, int, int]]) -> list[tuple[int, int]]:
    """The cheapest first, each i and each j once."""
    has_next: set[int] = set()
    has_previous: set[int] = set()
    matched = []
    for _, i, j in sorted(candidates):
        if i not in has_next and j not in has_previous:
            has_next.add(i)
            has_previous.add(j)
            matched.append((i, j))
    return matched


def chains(count: int, links: list[tuple[int, int]]) -> list[list[int]]:
    """0 to count - 1, each in one chain, where links are (one, the next); in the order of the first of each."""
    following = dict(links)
    later = set(following.values())
    result = []
    for first in range(count):
        if first in later:
            continue
        chain = [first]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        result.append(chain)
    return result


def labels_of(chained: list[list[int]], count: int) -> Indices:
    """count: the number of the chain that each is in."""
    labels = np.zeros(count, np.intp)
    for label, chain in enumerate(chained):
        labels[chain] = label
    return labels
