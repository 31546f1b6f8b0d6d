"""Points, boxes and polygons: turning pages by quarters, and how much two regions overlap.

Coordinates are continuous, in pixels: the pixel in column 0, row 0 covers the box (0, 0, 1, 1). The y axis points down.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal, cast

from PIL import Image

from ocrqueue.document import Box, Point, Polygon, Word

Rotation = Literal[0, 90, 180, 270]
"""Degrees clockwise by which text is turned."""

_TURN_BACK: Final = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""Pillow turns counter-clockwise."""


def upright(image: Image.Image, rotation: int) -> Image.Image:
    """`image` turned counter-clockwise by `rotation`, so that text that lies turned by as much can be read.

    Without rotation it is the image itself, no copy.
    """
    return image if rotation == 0 else image.transpose(_TURN_BACK[rotation])


def to_original(polygon: Polygon, rotation: int, width: float, height: float) -> Polygon:
    """A polygon found in `upright(original, rotation)`, in the original's frame.

    `width` and `height` are the original's, in pixels. The points keep their order: top left as read comes first.
    """
    first, second, third, fourth = (_to_original(x, y, rotation, width, height) for x, y in polygon)
    return (first, second, third, fourth)


def to_upright(polygon: Polygon, rotation: int, width: float, height: float) -> Polygon:
    """The inverse of `to_original`; `width` and `height` are the original's here too."""
    if rotation in (90, 270):
        width, height = height, width
    return to_original(polygon, -rotation % 360, width, height)


def _to_original(x: float, y: float, rotation: int, width: float, height: float) -> Point:
    if rotation == 90:
        return (width - y, x)
    if rotation == 180:
        return (width - x, height - y)
    if rotation == 270:
        return (y, height - x)
    return (x, y)


def letters_by_rotation(words: Iterable[Word]) -> Counter[Rotation]:
    """How many characters are turned by so many degrees, to the nearest quarter, by the top edges of their words."""
    letters: Counter[Rotation] = Counter()
    for word in words:
        (left, top), (right, bottom) = word.polygon[:2]
        if (left, top) != (right, bottom):
            quarter = round(math.degrees(math.atan2(bottom - top, right - left)) / 90) % 4
            letters[cast("Rotation", quarter * 90)] += len(word.text)
    return letters


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]; 0 where both have no area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = _box_area(first) + _box_area(second) - shared
    return shared / union if union > 0 else 0.0


def _box_area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def signed_area(polygon: Sequence[Point]) -> float:
    """Area of a simple polygon by the shoelace formula: positive where its points go clockwise as seen (y down)."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)) / 2


def polygon_area(polygon: Sequence[Point]) -> float:
    """Area of a simple polygon, whichever way its points go."""
    return abs(signed_area(polygon))


def polygon_iou(first: Sequence[Point], second: Sequence[Point]) -> float:
    """Intersection over union of two convex polygons, in [0, 1]; 0 where both have no area."""
    shared = polygon_area(_clipped(first, second))
    union = polygon_area(first) + polygon_area(second) - shared
    return min(shared / union, 1.0) if union > 0 else 0.0


def _clipped(subject: Sequence[Point], window: Sequence[Point]) -> Sequence[Point]:
    """The part of `subject` inside the convex `window`.

    I. E. Sutherland and G. W. Hodgman, Reentrant polygon clipping, CACM 17 (1), 1974.
    """
    if signed_area(window) < 0:
        window = window[::-1]
    left = list(subject)
    for start, end in zip(window, [*window[1:], *window[:1]], strict=True):
        edges = zip([*left[-1:], *left[:-1]], left, strict=True)
        left = [point for before, after in edges for point in _edge_inside(before, after, start, end)]
    return left


def _edge_inside(before: Point, after: Point, start: Point, end: Point) -> list[Point]:
    """What the edge from `before` to `after` adds to a polygon cut along the line from `start` to `end`."""
    side_before, side_after = _side(before, start, end), _side(after, start, end)
    points = []
    if side_before * side_after < 0:
        share = side_before / (side_before - side_after)
        points.append((before[0] + share * (after[0] - before[0]), before[1] + share * (after[1] - before[1])))
    if side_after >= 0:
        points.append(after)
    return points


def _side(point: Point, start: Point, end: Point) -> float:
    """Positive to the right of the line from `start` to `end` as seen (y down): inside a clockwise polygon."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
