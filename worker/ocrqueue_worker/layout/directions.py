"""Which words of a page are read in the same direction.

A word's own direction is only as good as it is long: detectors give a lone "i" or a comma a box that is turned
any way. Long words tell the directions, short ones take part in what is next to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_LONG: Final = 1.5
"""Width in heights from which a word's own direction is believed."""
_CORE: Final = np.radians(10)
"""Words within this of the strongest direction tell it."""
_SPREAD: Final = np.radians(25)
"""Words within this of a direction belong to it: skew and perspective turn lines of one text by some degrees."""
_REACH: Final = 2.0
"""In heights: how near the long word must be that a short one goes along with."""
_ROWS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Words:
    """n words' polygons in numbers."""

    quads: Floats
    """n x 4 x 2: top left, top right, bottom right, bottom left as read; x, y in pixels of the page."""
    along: Floats
    """n x 2: from the middle of the left side to the middle of the right side."""
    height: Floats
    """n: mean length of the left and right side."""

    @classmethod
    def of(cls, quads: Floats) -> Words:
        top_left, top_right, bottom_right, bottom_left = quads.transpose(1, 0, 2)
        along = (top_right + bottom_right - top_left - bottom_left) / 2
        return cls(quads, along, np.linalg.norm(bottom_left + bottom_right - top_left - top_right, axis=1) / 2)

    @property
    def width(self) -> Floats:
        width: Floats = np.linalg.norm(self.along, axis=1)
        return width

    @property
    def start(self) -> Floats:
        return (self.quads[:, 0] + self.quads[:, 3]) / 2

    @property
    def end(self) -> Floats:
        return (self.quads[:, 1] + self.quads[:, 2]) / 2


@dataclass(frozen=True, slots=True)
class Flow:
    """Words that are read in about the same direction."""

    direction: Floats
    """2: unit vector on the page."""
    members: Indices

    @property
    def frame(self) -> Floats:
        """2 x 2: points (rows) times its transpose have x in reading direction and y downwards."""
        x, y = self.direction
        return np.array([(x, y), (-y, x)])


def find_flows(words: Words) -> list[Flow]:
    """Every word in one flow; the flow with the most text first. Members are in the words' order."""
    vectors = _vectors(words)
    angles = np.arctan2(vectors[:, 1], vectors[:, 0])
    is_long = (words.width >= _LONG * words.height) & (words.width > 0)
    if not is_long.any():
        is_long[:] = True
    long = np.flatnonzero(is_long)
    directions, flow_of = _group(vectors[long], angles[long])

    assigned = np.full(len(angles), -1)
    assigned[long] = flow_of
    short = np.flatnonzero(~is_long)
    if len(directions) == 1:
        along_with_it = short[_apart(angles[short], directions[0]) <= _SPREAD]
        assigned[along_with_it] = 0
        short = short[assigned[short] < 0]
    assigned[short] = _taken_along(words, short, long, flow_of, np.array(directions), angles)
    alone = np.flatnonzero(assigned < 0)
    if len(alone):
        more, flow_of = _group(vectors[alone], angles[alone])
        assigned[alone] = flow_of + len(directions)
        directions += more
    return [Flow(direction, np.flatnonzero(assigned == flow)) for flow, direction in enumerate(directions)]


def _vectors(words: Words) -> Floats:
    """n x 2: along each word, as long as it is wide; a word without width is as wide as a hair."""
    down = (words.quads[:, 3] + words.quads[:, 2] - words.quads[:, 0] - words.quads[:, 1]) / 2
    turned = down[:, ::-1] * (1, -1)
    return np.where(words.width[:, None] > 0, words.along, turned * 1e-3)


def _group(vectors: Floats, angles: Floats) -> tuple[list[Floats], Indices]:
    """Directions by falling amount of text, and which of them each vector belongs to."""
    weights = np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)
    directions: list[Floats] = []
    groups = np.full(len(angles), -1)
    while (rest := np.flatnonzero(groups < 0)).size:
        center = angles[rest[_densest(angles[rest], weights[rest])]]
        core = rest[np.abs(_turn(angles[rest] - center)) <= _CORE]
        total = vectors[core].sum(axis=0)
        length = np.linalg.norm(total)
        # words of no size at all have no direction
        direction = total / length if length > 0 else np.array([np.cos(center), np.sin(center)])
        groups[rest[_apart(angles[rest], direction) <= _SPREAD]] = len(directions)
        groups[core] = len(directions)
        directions.append(direction)
    return directions, groups


def _densest(angles: Floats, weights: Floats) -> int:
    """The word around whose angle lies the most text; of equal ones the first."""
    order = np.argsort(angles, kind="stable")
    around = np.concatenate([angles[order] + turn for turn in (-2 * np.pi, 0, 2 * np.pi)])
    reached = np.concatenate([[0], np.cumsum(np.tile(weights[order], 3))])
    low, high = np.searchsorted(around, angles - _CORE), np.searchsorted(around, angles + _CORE, "right")
    totals = reached[high] - reached[low]
    return int(np.flatnonzero(totals >= totals.max() * (1 - 1e-9))[0])


def _taken_along(
    words: Words, short: Indices, long: Indices, flow_of: Indices, directions: Floats, angles: Floats
) -> Indices:
    """The flow of the nearest long word within reach, of those that read as the short word does if there is one.

    Where none is within reach, a flow that reads as it does; where there is none either, -1.
    """
    result = np.full(len(short), -1)
    start, along = words.start[long], words.along[long]
    length = (along**2).sum(axis=1)
    for first in range(0, len(short), _ROWS_AT_ONCE):
        chunk = short[first : first + _ROWS_AT_ONCE]
        away = words.quads[chunk].mean(axis=1)[:, None] - start
        share = np.divide((away * along).sum(axis=2), length, out=np.zeros(away.shape[:2]), where=length > 0).clip(0, 1)
        distance = np.linalg.norm(away - share[:, :, None] * along, axis=2)
        near = distance <= _REACH * np.maximum(words.height[chunk][:, None], words.height[long])
        agrees = np.stack([_apart(angles[chunk], direction) <= _SPREAD for direction in directions], 1)[:, flow_of]
        rank = np.where(near, distance, np.inf) + np.where(near & ~agrees, distance.max(), 0)
        nearest = np.where(near.any(axis=1), rank.argmin(axis=1), agrees.argmax(axis=1))
        result[first : first + len(chunk)] = np.where((near | agrees).any(axis=1), flow_of[nearest], -1)
    return result


def _apart(angles: Floats, direction: Floats) -> Floats:
    return np.abs(_turn(angles - np.arctan2(direction[1], direction[0])))


def _turn(angles: Floats) -> Floats:
    """Between -pi and pi."""
    turned: Floats = (angles + np.pi) % (2 * np.pi) - np.pi
    return turned
