"""From quadrilaterals to the pictures that the recogniser reads: what `Recognizer.recognize_from_boxes` feeds it.

keras-ocr takes the smallest rectangle around each quadrilateral (shapely's `minimum_rotated_rectangle`), orders its
corners, and warps it into the upper left of a black picture. All words' rectangles are computed at once here.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Quads = NDArray[np.float32]
Pictures = NDArray[np.uint8]

_PAIRS = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3)])
_OTHERS = np.array([(2, 3), (3, 0), (0, 1), (1, 2), (1, 3), (0, 2)])


def crop_words(image: Pictures, quads: Quads, height: int, width: int, color: bool) -> Pictures:
    """n x height x width x channels (3 with `color`, else 1 grey): the words at `quads`, letterboxed on black.

    `image` is H x W x 3 RGB, `quads` n x 4 x 2 corners (x, y) in its pixels, in any order. A quadrilateral that is less
    than a pixel wide or high, or would be in the crop, gives a black picture; keras-ocr divides by zero there.
    """
    source = image if color else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    crops = np.zeros((len(quads), height, width, 3 if color else 1), np.uint8)
    boxes = reading_order(quads)
    for crop, box, (box_width, box_height) in zip(crops, boxes, _whole_sizes(boxes).tolist(), strict=True):
        if box_width < 1 or box_height < 1:
            continue
        scale = min(width / box_width, height / box_height)
        right, bottom = scale * box_width, scale * box_height
        size = int(right), int(bottom)
        if min(size) < 1:
            continue
        corners = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)], np.float32)
        warped = cv2.warpPerspective(source, cv2.getPerspectiveTransform(box, corners), size)
        crop[: size[1], : size[0]] = warped.reshape(size[1], size[0], -1)
    return crops


def reading_order(quads: Quads) -> Quads:
    """n x 4 x 2: the smallest rectangle around each quadrilateral: top left, top right, bottom right, bottom left.

    As `keras_ocr.tools.get_rotated_box` has it: of the two corners furthest left the upper one is the top left. So what
    is turned further than its diagonal, or upside down, counts as upright.
    """
    points = _smallest_rectangles(np.asarray(quads, np.float64).reshape(-1, 4, 2))
    points = _sorted(points, points[:, :, 0])
    left, right = points[:, :2], points[:, 2:]
    left = _sorted(left, left[:, :, 1])
    right = _sorted(right, np.linalg.norm(right - left[:, :1], axis=2))
    ordered = np.stack([left[:, 0], right[:, 0], right[:, 1], left[:, 1]], axis=1)
    return np.asarray(ordered, np.float32)


def _sorted(points: NDArray[np.float64], keys: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.take_along_axis(points, np.argsort(keys, axis=1, kind="stable")[:, :, None], axis=1)


def _smallest_rectangles(quads: NDArray[np.float64]) -> NDArray[np.float64]:
    """n x 4 x 2: a rectangle of least area around the four points; the points themselves where they are on one line.

    One side of it lies on an edge of the convex hull (Freeman and Shapira 1975, https://doi.org/10.1145/360881.360919):
    of four points, on a pair that has the other two on the same side.
    """
    start, end = quads[:, _PAIRS[:, 0]], quads[:, _PAIRS[:, 1]]
    length = np.linalg.norm(end - start, axis=2, keepdims=True)
    along = np.divide(end - start, length, out=np.zeros_like(start), where=length > 0)
    across = along[:, :, ::-1] * (-1, 1)
    # n x 6 pairs x 4 points
    u = np.einsum("npk,nqk->npq", along, quads)
    v = np.einsum("npk,nqk->npq", across, quads)
    spread_u, spread_v = np.ptp(u, axis=2), np.ptp(v, axis=2)
    sides = np.take_along_axis(v, np.broadcast_to(_OTHERS, (len(quads), 6, 2)), axis=2) - np.take_along_axis(
        v, np.broadcast_to(_PAIRS[:, :1], (len(quads), 6, 1)), axis=2
    )
    is_hull_edge = (sides.prod(axis=2) >= 0) & (length[:, :, 0] > 0)
    best = np.where(is_hull_edge, spread_u * spread_v, np.inf).argmin(axis=1)

    chosen = np.arange(len(quads)), best
    low_u, high_u = u[chosen].min(axis=1), u[chosen].max(axis=1)
    low_v, high_v = v[chosen].min(axis=1), v[chosen].max(axis=1)
    corners_u, corners_v = np.stack([low_u, high_u, high_u, low_u], 1), np.stack([low_v, low_v, high_v, high_v], 1)
    rectangles = corners_u[:, :, None] * along[chosen][:, None] + corners_v[:, :, None] * across[chosen][:, None]
    flat = (spread_u[chosen] == 0) | (spread_v[chosen] == 0)
    rectangles[flat] = quads[flat]
    return np.asarray(rectangles, np.float64)


def _whole_sizes(boxes: Quads) -> NDArray[np.int64]:
    """n x 2: width and height as the mean of opposite sides, in whole pixels, rounded down."""
    corners = boxes.astype(np.float64)
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    return np.asarray((sides[:, (0, 1)] + sides[:, (2, 3)]) / 2, np.float64).astype(np.int64)
