"""Which way a picture is to be read: as it is, turned, or mirrored, told by reading it or a part of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from ocrqueue.document import Page
from ocrqueue.job import PreparationStep
from ocrqueue_worker.geometry import Rotation, letters_by_rotation
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
_MOST: Final = 2 / 3
"""Of the letters. A few lines upside down on a page are no reason to turn it."""
_NO_WORSE: Final = 0.95
"""So much of what was made out before must be left: the same print gives some hundredths more or less once turned."""


def turned_against(ready: Picture, page: Page) -> Rotation:
    """By how much `ready`, which reads as `page`, is to be turned back; 0 if it is to stay as it is.

    An engine that reads single lines upside down as well finds some of them, and not all. Text that runs down the page,
    as columns of Chinese do, is no reason to turn it.
    """
    letters = letters_by_rotation(page.words())
    most = max(letters, key=lambda rotation: letters[rotation], default=page.rotation)
    if letters[most] < _MOST * letters.total() or "mirror" in ready.steps:
        return 0
    turn = (most - page.rotation) % 360
    return 180 if turn == 180 else 270 if turn == 270 else 0


def read_turned_back(ready: Picture, as_it_is: Page, read: Read) -> tuple[Picture, Page]:
    """`ready` and `as_it_is`, which is what it reads as; turned back where most of it was read upside down, and it
    reads no worse then.
    """
    turn = turned_against(ready, as_it_is)
    if not turn:
        return ready, as_it_is
    try:
        turned = ready.turned(turn)
    except MemoryError:
        return ready, as_it_is
    other = read(turned)
    if not isinstance(other, Page) or legibility(other) < _NO_WORSE * legibility(as_it_is):
        return ready, as_it_is
    return turned, other


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
