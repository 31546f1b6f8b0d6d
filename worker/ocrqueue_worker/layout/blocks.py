"""Lines that stand below each other, and the order in which a page's blocks are read."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.layout.spans import Floats, Indices, Spans, chains, windows

_LINE_GAP: Final = 2.5
"""In heights, between the lines of a block, from the foot of one to the head of the next."""
_SIGHT: Final = 12.0
"""In heights: lines further below are no neighbours, wherever they stand."""
_SAME_SIZE: Final = 1.7
"""Lines of a block are at most so many times as high as the one above."""
_PARAGRAPH: Final = 1.35
"""A paragraph begins where the lines are so many times as far apart as is usual in the block."""
_SHRINK: Final = 0.3
"""Of a line's height: by so much blocks may overlap and still stand side by side or below each other."""
_FOOT_GAP: Final = 4.0
"""In heights: from columns to what is their head or foot, rather than the end of one of them."""
_DEPTH: Final = 64
"""Of cuts within cuts, for pages that are no pages."""


def stack_lines(lines: Spans) -> list[list[list[int]]]:
    """Blocks of paragraphs of lines, each line once, top to bottom within its block.

    A line goes on the block above when each is the other's only neighbour: below a heading over two columns, and above
    the columns' common foot, new blocks begin.
    """
    upper, lower, drop = _neighbours(lines)
    below, above = np.bincount(upper, minlength=len(lines)), np.bincount(lower, minlength=len(lines))
    size = lines.height
    lesser, greater = np.minimum(size[upper], size[lower]), np.maximum(size[upper], size[lower])
    joins = (
        (below[upper] == 1)
        & (above[lower] == 1)
        & (greater <= _SAME_SIZE * lesser)
        & (drop <= (1 + _LINE_GAP) * (lesser + greater) / 2)
    )
    links = list(zip(upper[joins].tolist(), lower[joins].tolist(), strict=True))
    drops = dict(zip(links, drop[joins].tolist(), strict=True))
    return [_paragraphs(block, drops) for block in chains(len(lines), links)]


def _paragraphs(block: list[int], drops: dict[tuple[int, int], float]) -> list[list[int]]:
    steps = [drops[pair] for pair in pairwise(block)]
    usual = float(np.quantile(steps, 0.25)) if steps else 0.0
    paragraphs = [block[:1]]
    for line, step in zip(block[1:], steps, strict=True):
        if step > _PARAGRAPH * usual:
            paragraphs.append([])
        paragraphs[-1].append(line)
    return paragraphs


def _neighbours(lines: Spans) -> tuple[Indices, Indices, Floats]:
    """Upper line, lower line and how far their middles are apart, for all that face each other with no line between."""
    slope = lines.slope()
    low, high = lines.start[:, 0], lines.end[:, 0]
    tops = np.minimum(lines.start[:, 1], lines.end[:, 1])
    spread = float((np.maximum(lines.start[:, 1], lines.end[:, 1]) - tops).max())
    order = np.argsort(tops, kind="stable")
    reach = _SIGHT * lines.height + spread
    found: list[tuple[Indices, Indices, Floats]] = []
    low_place, own_place, high_place = (np.searchsorted(tops[order], y) for y in (tops - spread, tops, tops + reach))
    for upper, place in windows(low_place, high_place, own_place):
        lower = order[place]
        left, right = np.maximum(low[upper], low[lower]), np.minimum(high[upper], high[lower])
        at = (left + right) / 2
        heights = [lines.middle[one, 1] + slope[one] * (at - lines.middle[one, 0]) for one in (upper, lower)]
        drop = heights[1] - heights[0]
        faces = (right > left) & (drop > 0.4 * np.minimum(lines.height[upper], lines.height[lower])) & (upper != lower)
        faces &= drop <= reach[upper]
        found.append((upper[faces], lower[faces], drop[faces]))
    upper, lower, drop = (np.concatenate(column) for column in zip(*found, strict=True))
    by_distance = np.argsort(drop, kind="stable")
    upper, lower, drop = upper[by_distance], lower[by_distance], drop[by_distance]
    seen = _unhidden(upper, lower, low, high) & _unhidden(lower, upper, low, high)
    return upper[seen], lower[seen], drop[seen]


def _unhidden(viewer: Indices, viewed: Indices, low: Floats, high: Floats) -> NDArray[np.bool_]:
    """Of pairs by rising distance those whose viewed line no nearer one stands before."""
    before: dict[int, list[tuple[float, float]]] = {}
    result = np.zeros(len(viewer), np.bool_)
    ends = np.column_stack([low, high]).tolist()
    for place, (one, other) in enumerate(zip(viewer.tolist(), viewed.tolist(), strict=True)):
        left, right = ends[other]
        nearer = before.setdefault(one, [])
        if all(right <= other_left or left >= other_right for other_left, other_right in nearer):
            result[place] = True
            nearer.append((left, right))
    return result


def reading_order(boxes: Floats, heights: Floats) -> list[int]:
    """The order of blocks: columns left to right, each from top to bottom, between what goes across them.

    `boxes` is m x 4: left, top, right, bottom in a frame where x is the reading direction; `heights` those of a line.
    A recursive XY-cut (Nagy and Seth 1984) that keeps strips together where they share a gutter.
    """
    shrink = np.minimum(_SHRINK * heights[:, None], (boxes[:, 2:] - boxes[:, :2]) / 2)
    shrunk = np.hstack([boxes[:, :2] + shrink, boxes[:, 2:] - shrink]).tolist()
    return _cut(list(range(len(boxes))), shrunk, _FOOT_GAP * float(np.median(heights)), _DEPTH)


def _cut(blocks: list[int], boxes: list[list[float]], foot_gap: float, depth: int) -> list[int]:
    if len(blocks) > 1 and depth:
        groups = _kept_together(_apart(blocks, boxes, 1), boxes, foot_gap)
        if len(groups) == 1:
            groups = _apart(blocks, boxes, 0)
        if len(groups) > 1:
            return [block for group in groups for block in _cut(group, boxes, foot_gap, depth - 1)]
    return sorted(blocks, key=lambda block: (boxes[block][1], boxes[block][0]))


def _apart(blocks: list[int], boxes: list[list[float]], axis: int) -> list[list[int]]:
    """Groups with white between them, along x (0) or y (1)."""
    groups: list[list[int]] = []
    reached = -np.inf
    for block in sorted(blocks, key=lambda block: boxes[block][axis]):
        if boxes[block][axis] > reached or not groups:
            groups.append([])
        groups[-1].append(block)
        reached = max(reached, boxes[block][axis + 2])
    return groups


def _kept_together(strips: list[list[int]], boxes: list[list[float]], foot_gap: float) -> list[list[int]]:
    """Strips, top to bottom, those joined through which the same gutter runs.

    A strip in one column only goes with those of several, unless it is as far away as a head or foot.
    """
    groups: list[list[int]] = []
    has_gutter = False
    bottom = 0.0
    for strip in strips:
        has_own = len(_apart(strip, boxes, 0)) > 1
        is_near = min(boxes[block][1] for block in strip) - bottom <= foot_gap
        joins = groups and ((has_gutter and has_own) or ((has_gutter or has_own) and is_near))
        if joins and len(_apart(groups[-1] + strip, boxes, 0)) > 1:
            groups[-1] += strip
            has_gutter = True
        else:
            groups.append(list(strip))
            has_gutter = has_own
        bottom = max(boxes[block][3] for block in strip)
    return groups
