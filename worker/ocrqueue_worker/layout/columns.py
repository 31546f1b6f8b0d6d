"""Which gaps in rows part columns of text, so that the lines on both sides are not read as one.

A table has gaps as wide as a page of two columns has. What tells them apart is that text fills its columns: on both
sides of a gutter lines are much wider than it is, row after row, and the white between them runs down through the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from ocrqueue_worker.layout.spans import Spans

_GAP: Final = 0.75
"""In heights: narrower gaps are between words."""
_COMMON: Final = 0.6
"""In heights: the white that the gaps of a gutter have in common."""
_ROWS_APART: Final = 6.0
"""In heights: from one gap of a gutter to the next that has text as wide as a column's on both sides."""
_SHORT_ROWS_APART: Final = 3.5
"""In heights: to the next that has not, such as where a paragraph ends; what is further down may be a table."""
_LEAST_WIDTH: Final = 5.0
"""In heights, of the text on either side of a gutter."""
_LEAST_SHARE: Final = 2.0
"""In widths of the gap, of the text on either side."""
_ROWS: Final = 3
"""So many rows with a gap at the same place are no chance."""
_WIDE_GAP: Final = 2.5
"""In heights: with fewer rows and nothing around, the gap must be too wide for one between words."""
_WHITE: Final = 3.0
"""In heights: with fewer rows, so far above and below it must be white as well."""


@dataclass(frozen=True, slots=True)
class _Gap:
    row: int
    after: int
    """Place in the row of the word before the gap."""
    left: float
    right: float
    y: float
    height: float
    beside: float
    """The width of the text on the side with less."""

    @property
    def parts_text(self) -> bool:
        return self.parts_text_by(self.right - self.left)

    def parts_text_by(self, white: float) -> bool:
        """Whether the text on both sides is as wide as a column's, if so much white is between columns."""
        return self.beside >= max(_LEAST_WIDTH * self.height, _LEAST_SHARE * white)


@dataclass(slots=True)
class _Gutter:
    left: float
    right: float
    y: float
    gaps: list[_Gap] = field(default_factory=list)

    def takes(self, gap: _Gap) -> float:
        """The white that it would have with the gap, in heights; 0 if the gap is none of its."""
        common = (min(self.right, gap.right) - max(self.left, gap.left)) / gap.height
        apart = _ROWS_APART if gap.parts_text else _SHORT_ROWS_APART
        return common if common >= _COMMON and gap.y - self.y <= apart * gap.height else 0.0

    def add(self, gap: _Gap) -> None:
        self.left, self.right, self.y = max(self.left, gap.left), min(self.right, gap.right), gap.y
        self.gaps.append(gap)

    def parts_columns(self, words: Spans) -> bool:
        if len({gap.row for gap in self.gaps}) >= _ROWS:
            return 2 * sum(gap.parts_text for gap in self.gaps) >= len(self.gaps)
        white = self._white(words)
        if white is None:
            return all(gap.parts_text and gap.right - gap.left >= _WIDE_GAP * gap.height for gap in self.gaps)
        return all(white >= _COMMON * gap.height and gap.parts_text_by(white) for gap in self.gaps)

    def _white(self, words: Spans) -> float | None:
        """How wide it is with the words above and below, which need not be in rows that go across; None without any."""
        reach = _WHITE * self.gaps[0].height
        y = words.middle[:, 1]
        away = np.maximum(self.gaps[0].y - y, y - self.gaps[-1].y)
        near = (away > reach / 6) & (away <= reach)
        is_before = words.middle[near, 0] < (self.left + self.right) / 2
        ends, starts = words.end[near, 0][is_before], words.start[near, 0][~is_before]
        if not (len(ends) and len(starts)):
            return None
        return min(self.right, float(starts.min())) - max(self.left, float(ends.max()))


def split_rows(words: Spans, rows: list[list[int]]) -> list[list[int]]:
    """The rows' words as lines, left to right; a row that spans columns gives several."""
    cuts: dict[int, list[int]] = {}
    for gutter in _gutters(sorted(_gaps(words, rows), key=lambda gap: gap.y)):
        if gutter.parts_columns(words):
            for gap in gutter.gaps:
                cuts.setdefault(gap.row, []).append(gap.after + 1)
    lines = []
    for number, row in enumerate(rows):
        places = [0, *sorted(cuts.get(number, [])), len(row)]
        lines += [row[first:last] for first, last in pairwise(places)]
    return lines


def _gaps(words: Spans, rows: list[list[int]]) -> list[_Gap]:
    gaps = []
    for number, row in enumerate(rows):
        if len(row) < 2:
            continue
        start, end, height = words.start[row], words.end[row], words.height[row]
        ends = np.maximum.accumulate(end[:, 0])
        size = np.average(height, weights=np.maximum(words.width[row], 1e-3 * height))
        wide = np.flatnonzero(start[1:, 0] - ends[:-1] > _GAP * size).tolist()
        edges = [-1, *wide, len(row) - 1]
        widths = [ends[last] - start[first + 1, 0] for first, last in pairwise(edges)]
        for place, before, behind in zip(wide, widths, widths[1:], strict=False):
            left, right = float(ends[place]), float(start[place + 1, 0])
            y = float(end[place, 1] + start[place + 1, 1]) / 2
            gaps.append(_Gap(number, place, left, right, y, float(size), float(min(before, behind))))
    return gaps


def _gutters(gaps: list[_Gap]) -> list[_Gutter]:
    """The gaps, top to bottom, by the white that runs through them."""
    done: list[_Gutter] = []
    open_: list[_Gutter] = []
    for gap in gaps:
        best = max(open_, key=lambda gutter: gutter.takes(gap), default=None)
        if best is None or not best.takes(gap):
            best = _Gutter(gap.left, gap.right, gap.y)
            open_.append(best)
        best.add(gap)
        if len(open_) > 64:
            passed = [gutter for gutter in open_ if gap.y - gutter.y > _ROWS_APART * gap.height]
            done += passed
            open_ = [gutter for gutter in open_ if gutter not in passed]
    return done + open_
