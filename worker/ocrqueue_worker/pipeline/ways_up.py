"""Which way a prepared picture is to be read: as it is, upside down, or mirrored, told by reading a part of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from ocrqueue.document import Page
from ocrqueue.job import PreparationStep
from ocrqueue_worker.pipeline.engine_call import Result
from ocrqueue_worker.preparation.picture import Picture
from ocrqueue_worker.preparation.quality import (
    confidence,
    is_far_better,
    is_nonsense,
    is_short,
    legibility,
)

Read = Callable[[Picture], Result]
Way = Callable[[Picture], Picture]

_PART: Final = 3
"""Of the page: its third is read each way."""
_SMALL_PART: Final = 8
"""The same where it is most likely the right way up."""


def read_right_way(ready: Picture, as_it_is: Page, steps: Collection[PreparationStep], read: Read) -> Result:
    """`as_it_is`, which is what `ready` reads as, or what it reads as another way up that these steps may take.

    The part of it with the most text is read the other ways, and as it is where one of them reads with more confidence.
    All of it is read the best way, where that is another one. Mirrored pages are rare: they are tried where next to no
    sense was made of the page, or where little is on it.
    """
    from ocrqueue_worker.preparation.ink import densest_band

    is_likely = is_nonsense(as_it_is) or is_short(as_it_is)
    ways = list(_ways(steps, may_be_mirrored=is_likely))
    part = ready.part(densest_band(ready.image, _PART if is_likely else _SMALL_PART))
    tried = [(page, way) for way in ways if isinstance(page := read(way(part)), Page)]
    if not tried or len(tried) < len(ways):
        return as_it_is
    best, way = max(tried, key=lambda each: legibility(each[0]))
    if (confidence(best) or 0.0) <= (confidence(as_it_is) or 0.0):
        return as_it_is
    upright = read(part)
    if not isinstance(upright, Page) or not is_far_better(best, upright):
        return as_it_is
    other = read(way(ready))
    return other if isinstance(other, Page) and is_far_better(other, as_it_is) else as_it_is


def _ways(steps: Collection[PreparationStep], may_be_mirrored: bool) -> Iterator[Way]:
    if "rotate" in steps:
        yield lambda picture: picture.turned(180)
    if "mirror" in steps and may_be_mirrored:
        yield Picture.mirrored
        if "rotate" in steps:
            yield lambda picture: picture.mirrored().turned(180)
