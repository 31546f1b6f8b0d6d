"""A line that another engine found, as the recogniser wants it: in pieces, each the rectangle around some words.

The numbers are those that read most words right of Tesseract's lines on photographed receipts.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ocrqueue.document import Line
from ocrqueue_worker.engines.rapid.lines import LineFrame, given_frame
from ocrqueue_worker.engines.rapid.scaling import Points

_GAP: Final = 0.8
"""In heights of the words: where they are further apart, a piece ends. The recogniser swallows wide gaps: it was made
for what its own detector finds, which ends at them."""
_ABOVE: Final = 0.25
"""Of a piece's height, above and below it: boxes of other engines end where the ink does."""
_BESIDE: Final = 0.5
"""The same to the left and right, where a mark may stand that the other engine did not see."""
_TALL: Final = 1.4
"""In usual heights: a word beyond is taken for one whose box holds part of another line, or a rule."""
_NEAR: Final = 4.0
"""In usual heights, beyond the nearest: where the words stand that say how high such a word is."""


def pieces(line: Line) -> list[LineFrame]:
    """The pieces in reading order."""
    across = np.array(line.polygon[1]) - line.polygon[0]
    length = float(np.linalg.norm(across))
    along = across / length if length else np.array([1.0, 0.0])
    axes = np.array([along, (-along[1], along[0])])
    regions = line.words or [line]
    spans = np.array([_span(np.array(region.polygon) @ axes.T) for region in regions])
    if line.words:
        spans = _trimmed(spans, np.array([max(1, len(word.text)) for word in line.words]))
    joined = _joined(spans)
    frames = []
    for place, (left, top, right, bottom) in enumerate(joined):
        height = max(bottom - top, 1.0)
        before = left - joined[place - 1][2] if place else np.inf
        after = joined[place + 1][0] - right if place + 1 < len(joined) else np.inf
        x = (left - _beside(height, before), right + _beside(height, after))
        y = (top - _ABOVE * height, bottom + _ABOVE * height)
        corners = np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]) @ axes
        frames.append(given_frame(corners.astype(np.float32)))
    return frames


def _span(points: Points) -> Points:
    """left, top, right, bottom of a word as the line is read."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _trimmed(spans: Points, letters: Points) -> Points:
    """The words (n x 4), those that are much higher than usual cut to where their neighbours stand.

    Else the letters of the whole piece would be as much too small in its picture. `letters` counts those of each word.
    """
    heights = spans[:, 3] - spans[:, 1]
    order = np.argsort(heights)
    reached = np.cumsum(letters[order])
    usual = heights[order][np.searchsorted(reached, reached[-1] / 2)]
    fits = heights <= _TALL * usual
    trimmed = spans.copy()
    for span in (trimmed[place] for place in np.flatnonzero(~fits)):
        left, top, right, bottom = span.copy()
        away = np.maximum(0, np.maximum(spans[fits, 0] - right, left - spans[fits, 2]))
        near = spans[fits][away <= away.min() + _NEAR * usual]
        highest, lowest = near[:, 1].min(), near[:, 3].max()
        meets = max(top, highest) < min(bottom, lowest)
        span[1::2] = (max(top, highest), min(bottom, lowest)) if meets else (highest, lowest)
    return trimmed


def _joined(spans: Points) -> list[Points]:
    """Words that stand close to each other as one, in order."""
    found: list[Points] = []
    for span in sorted(spans, key=lambda span: float(span[0])):
        last = found[-1] if found else None
        if last is not None and span[0] - last[2] <= _GAP * max(last[3] - last[1], span[3] - span[1]):
            last[:2] = np.minimum(last[:2], span[:2])
            last[2:] = np.maximum(last[2:], span[2:])
        else:
            found.append(span.copy())
    return found


def _beside(height: float, free: float) -> float:
    """Of so much free room to the next piece half is each one's, but so much as above and below it has in any case."""
    return min(_BESIDE * height, max(_ABOVE * height, free / 2))
