"""Which printed words were found, by intersection over union of quadrilaterals."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Quad = NDArray[np.float32]


def intersection_over_union(one: Quad, other: Quad) -> float:
    """Of two convex quadrilaterals, 4 x 2."""
    shared, _ = cv2.intersectConvexConvex(one, other)
    union = cv2.contourArea(one) + cv2.contourArea(other) - shared
    return float(shared / union) if union > 0 else 0.0


def found(truth: Sequence[Quad], boxes: Sequence[Quad], threshold: float) -> dict[int, int]:
    """The number of each true quadrilateral that was found, with its box's; each box counts once, the best first."""
    overlaps = [
        (overlap, i, j)
        for i, word in enumerate(truth)
        for j, box in enumerate(boxes)
        if _near(word, box) and (overlap := intersection_over_union(word, box)) >= threshold
    ]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(overlaps, reverse=True):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


def _near(one: Quad, other: Quad) -> bool:
    return bool((one.min(axis=0) < other.max(axis=0)).all() and (other.min(axis=0) < one.max(axis=0)).all())
