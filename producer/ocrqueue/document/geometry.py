"""Where something lies on a page.

Coordinates are pixels of the image as a viewer shows it (EXIF orientation applied), origin top left, x to the right,
y down. They stay in that frame when the worker turned the page to read it: `Page.rotation` says by how much.
"""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]
Polygon = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right, bottom left of the text as it is read, whichever way it lies on the page."""
Box = tuple[float, float, float, float]
"""left, top, right, bottom; right and bottom are exclusive."""


def polygon_of(box: Box) -> Polygon:
    """The upright polygon of a box."""
    left, top, right, bottom = box
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def box_of(polygons: Sequence[Polygon]) -> Box:
    """The smallest box around one or more polygons."""
    xs = [x for polygon in polygons for x, _ in polygon]
    ys = [y for polygon in polygons for _, y in polygon]
    return (min(xs), min(ys), max(xs), max(ys))
