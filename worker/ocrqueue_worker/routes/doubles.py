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
"""A word of whose core so much is covered by words of another line is that line's."""


def without_doubles(
    lines: Sequence[Line], read_again: Mapping[int, Line | None]
) -> tuple[dict[int, Line | None], frozenset[int]]:
    """The lines that were read again, by place, without words that stand in another line; and the places of those that
    have no word left for it.

    Lines that were not read again stand as they are; of the others the surest first.
    """
    standing = [word for place, line in enumerate(lines) if read_again.get(place) is None for word in line.words]
    kept: dict[int, Line | None] = dict(read_again)
    emptied = set()
    read = [(place, line) for place, line in read_again.items() if line is not None and line.words]
    for place, line in sorted(read, key=lambda item: -(mean_of(item[1].words) or 0.0)):
        own = tuple(word for word in line.words if not _is_covered(word, standing))
        if len(own) < len(line.words):
            kept[place] = line.model_copy(update={"words": own, "confidence": mean_confidence(own)})
        if not own:
            emptied.add(place)
        standing += own
    return kept, frozenset(emptied)


def _is_covered(word: Word, standing: Sequence[Word]) -> bool:
    core = _core(word.bbox)
    area = (core[2] - core[0]) * (core[3] - core[1])
    return area > 0 and sum(_common(core, other.bbox) for other in standing) >= _COVERED * area


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
