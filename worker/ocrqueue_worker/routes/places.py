"""Whether words stand in the same place, as different engines see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ocrqueue.document import Box, Word

_CORE: Final = 0.5
"""Of a word's height, around its middle: boxes of engines are higher than letters, and reach into the lines beside."""
_COVERED: Final = 0.5
"""A word belongs to another line if words of that line cover so much of its core."""
_TOUCHED: Final = 0.25
"""The same for a word that stands in the place of another: engines do not place the same word alike."""


def uncovered(words: Sequence[Word], standing: Sequence[Word]) -> list[Word]:
    """Those of the words where nothing stands."""
    return [word for word in words if not is_covered(word, standing, _TOUCHED)]


def alone(words: Sequence[Word], standing: Sequence[Word]) -> list[Word]:
    """Those of the words where nothing stands, neither around them nor within."""
    free = uncovered(words, standing)
    return [word for word in free if not any(is_covered(other, [word]) for other in standing)]


def is_covered(word: Word, standing: Sequence[Word], share: float = _COVERED) -> bool:
    core = _core(word.bbox)
    area = (core[2] - core[0]) * (core[3] - core[1])
    return area > 0 and sum(_common(core, other.bbox) for other in standing) >= share * area


def _core(box: Box) -> Box:
    """Of a word that lies; of one that stands, the middle of its width."""
    left, top, right, bottom = box
    if right - left >= bottom - top:
        cut = (1 - _CORE) / 2 * (bottom - top)
        return (left, top + cut, right, bottom - cut)
    cut = (1 - _CORE) / 2 * (right - left)
    return (left + cut, top, right - cut, bottom)


def _common(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
