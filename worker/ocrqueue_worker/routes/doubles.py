"""Words that were read twice: noise of one engine, read again by another, becomes words that stand in other lines.

Tesseract makes a line of specks between two others; its box holds parts of both, and a second engine reads them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ocrqueue.document import Box, Line, Word, mean_confidence
from ocrqueue_worker.routes.assessment import mean_of

_CORE: Final = 0.5
"""Of a word's height, around its middle: boxes of engines are higher than letters, and reach into the lines beside."""
_COVERED: Final = 0.5
"""A word belongs to another line if words of that line cover so much of its core."""
_TOUCHED: Final = 0.25
"""The same for a word that stands in the place of another: engines do not place the same word alike."""


def without_doubles(lines: Sequence[Line], read_again: Mapping[int, Line | None]) -> dict[int, Line | None]:
    """The lines that were read again, by place, without words that stand in another line.

    What was not read again stands as it is; of the rest the surest first.
    """
    own = {id(word) for line in lines for word in line.words}
    now = [read_again.get(place) or line for place, line in enumerate(lines)]
    standing = [word for line in now for word in line.words if id(word) in own]
    kept: dict[int, Line | None] = dict(read_again)
    read = [(place, line) for place, line in read_again.items() if line is not None and line.words]
    for place, line in sorted(read, key=lambda item: -(mean_of(item[1].words) or 0.0)):
        mine = set(map(id, line.words))
        others = [word for word in standing if id(word) not in mine]
        words = tuple(word for word in line.words if id(word) in own or not _is_covered(word, others))
        if len(words) < len(line.words):
            kept[place] = line.model_copy(update={"words": words, "confidence": mean_confidence(words)})
        standing += [word for word in words if id(word) not in own]
    return kept


def uncovered(words: Sequence[Word], standing: Sequence[Word]) -> list[Word]:
    """Those of the words where nothing stands."""
    return [word for word in words if not _is_covered(word, standing, _TOUCHED)]


def _is_covered(word: Word, standing: Sequence[Word], share: float = _COVERED) -> bool:
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
