"""Words that stand next to each other, whatever the gap: a line of text, a table's row, or the lines of two columns."""

from __future__ import annotations

from typing import Final

import numpy as np

from ocrqueue_worker.layout.spans import Floats, Indices, Spans, chains, followers, joined, labels_of, windows

_WORD_GAP: Final = 1.0
"""In heights: words nearer than this follow each other for certain."""
_ROW_GAP: Final = 40.0
"""In heights: the width of a narrow page, such as a receipt between an article and its price."""
_BETWEEN_ROWS: Final = 0.75
"""Of the leading: what is no further off is not of the next row, but of a column with lines of its own."""
_MOST_LEADING: Final = 3.0
"""In heights."""
_MARK: Final = 0.4
"""Of a line's height: what is lower and alone is a mark within it, such as a dash or a point."""
_MARK_WIDTH: Final = 1.5
"""In the line's heights, as an em dash has it."""
_MARK_GAP: Final = 0.8
"""In the line's heights, between a mark and the line that it belongs to."""
_MARK_OFFSET: Final = 0.6
"""Of the line's height, from its middle to the mark's: quotation marks hang, points stand."""


def find_rows(words: Spans) -> list[list[int]]:
    """Every word in one row, from left to right; rows in the order of their first words as given."""
    near = chains(
        len(words),
        followers(
            words,
            most_gap=_WORD_GAP,
            most_offset=0.6,
            most_ratio=3.0,
            offset_counts=1,
            clearance=np.zeros(len(words)),
        ),
    )
    near, parts = _with_marks(near, joined(words, labels_of(near, len(words))))
    # in a wide gap it is the shift that tells the row, not who is nearest
    wide = followers(
        parts,
        most_gap=_ROW_GAP,
        most_offset=0.45,
        most_ratio=2.0,
        offset_counts=100,
        clearance=_BETWEEN_ROWS * _leading(parts),
    )
    rows = [[word for part in chain for word in near[part]] for chain in chains(len(near), wide)]
    left = words.start[:, 0]
    return sorted((sorted(row, key=left.__getitem__) for row in rows), key=min)


def _leading(parts: Spans) -> Floats:
    """n: how far the next part above or below is, in pixels; where there is none near, the height."""
    slope, reach = parts.slope(), _MOST_LEADING * parts.height
    leading = np.full(len(parts), np.inf)
    order = np.argsort(parts.middle[:, 1], kind="stable")
    y = parts.middle[order, 1]
    # what is above a part has it below
    tilt = np.abs(slope) * parts.width
    for i, place in windows(*(np.searchsorted(y, parts.middle[:, 1] + way) for way in (-tilt, reach + tilt, 0.0))):
        j = order[place]
        left = np.maximum(parts.start[i, 0], parts.start[j, 0])
        right = np.minimum(parts.end[i, 0], parts.end[j, 0])
        at = (left + right) / 2
        drop = parts.middle[j, 1] + slope[j] * (at - parts.middle[j, 0])
        drop -= parts.middle[i, 1] + slope[i] * (at - parts.middle[i, 0])
        faces = (right > left) & (drop > parts.height[i] / 2) & (drop <= reach[i])
        np.minimum.at(leading, i[faces], drop[faces])
        np.minimum.at(leading, j[faces], drop[faces])
    return np.where(np.isfinite(leading), leading, parts.height)


def _with_marks(near: list[list[int]], parts: Spans) -> tuple[list[list[int]], Spans]:
    """Single words that are far less high than a part beside them become members of it."""
    hosts = _hosts_of_marks(parts, np.flatnonzero([len(chain) == 1 for chain in near]))
    # a mark's host may itself be a mark of something greater
    members: dict[int, list[int]] = {part: list(near[part]) for part in range(len(near)) if part not in hosts}
    for mark in sorted(hosts):
        host = mark
        while host in hosts:
            host = hosts[host]
        members[host] += near[mark]
    kept = np.array(sorted(members), np.intp)
    return [members[part] for part in kept.tolist()], parts[kept]


def _hosts_of_marks(parts: Spans, single: Indices) -> dict[int, int]:
    """Which of the parts `single` are marks, and each one's nearest part that can have it."""
    middle, slope = parts.middle, parts.slope()
    single = single[np.argsort(middle[single, 1], kind="stable")]
    bound = _MARK_OFFSET * parts.height
    low, own, high = (
        np.searchsorted(middle[single, 1], y)
        for y in (
            np.minimum(parts.start[:, 1], parts.end[:, 1]) - bound,
            middle[:, 1],
            np.maximum(parts.start[:, 1], parts.end[:, 1]) + bound,
        )
    )
    nearest: dict[int, tuple[float, int]] = {}
    for host, place in windows(low, high, own):
        mark, height = single[place], parts.height[host]
        way = middle[mark] - middle[host]
        offset = np.abs(way[:, 1] - slope[host] * way[:, 0]) / height
        gap = (np.abs(way[:, 0]) - (parts.width[host] + parts.width[mark]) / 2) / height
        fits = (
            (parts.height[mark] <= _MARK * height)
            & (parts.width[mark] <= _MARK_WIDTH * height)
            & (parts.width[host] >= height)  # what is higher than wide is no line, or none of this direction
            & (offset <= _MARK_OFFSET)
            & (gap <= _MARK_GAP)
        )
        distances = (np.maximum(gap, 0) + offset)[fits].tolist()
        for distance, one, other in zip(distances, mark[fits].tolist(), host[fits].tolist(), strict=True):
            nearest[one] = min(nearest.get(one, (np.inf, -1)), (distance, other))
    return {mark: host for mark, (_, host) in nearest.items()}
