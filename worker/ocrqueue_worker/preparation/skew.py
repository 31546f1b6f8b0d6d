"""Which way the lines of text run: seen along them, ink and paper alternate most.

As W. Postl, Detection of linear oblique structures and skew scan in digitized documents, ICPR 1986.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.preparation.ink import Mask

_FURTHEST: Final = 15.0
_MOST_POINTS: Final = 60_000
_TURNED: Final = 1.25
"""So many times the alternation of rows is that of columns, where text stands upright on its side."""
_CLEARLY: Final = 1.1


def text_direction(mask: Mask) -> tuple[bool, float]:
    """Whether the lines run from top to bottom rather than across, and by how many degrees they fall to the right of
    it, 15 at most either way; seen after the page was turned, where they do."""
    y, x = np.nonzero(mask)
    if len(y) < 50:
        return False, 0.0
    if len(y) > _MOST_POINTS:
        chosen = np.random.default_rng(0).choice(len(y), _MOST_POINTS, replace=False)
        y, x = y[chosen], x[chosen]
    rows, columns = _best(x, y), _best(mask.shape[0] - y, x)
    if columns[1] > _TURNED * rows[1]:
        return True, columns[0]
    return False, rows[0]


def _best(x: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    """The angle, and how much rows alternate at it."""
    coarse = np.arange(-_FURTHEST, _FURTHEST + 0.01, 0.5)
    angle = float(coarse[int(np.argmax([_alternation(x, y, each) for each in coarse]))])
    fine = np.arange(angle - 0.5, angle + 0.51, 0.1)
    found = [_alternation(x, y, each) for each in fine]
    angle, most = round(float(fine[int(np.argmax(found))]), 2), max(found)
    level = _alternation(x, y, 0.0)
    # what rises to the edge of what was tried has no peak, and what is no better than level is level
    return (angle, most) if abs(angle) < _FURTHEST - 0.5 and most > _CLEARLY * level else (0.0, level)


def _alternation(x: NDArray[Any], y: NDArray[Any], angle: float) -> float:
    radians = np.radians(angle)
    heights = y * np.cos(radians) - x * np.sin(radians)
    counts = np.bincount((heights - heights.min()).astype(np.int64))
    return float(np.square(np.diff(counts.astype(np.float64))).sum())
