"""Which way a prepared picture is to be read: as it is, upside down, or mirrored, told by reading a part of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from ocrqueue.document import Page
from ocrqueue.job import PreparationStep
from ocrqueue_worker.pipeline.engine_call import Result
from ocrqueue_worker.preparation.picture import Picture
from ocrqueue_worker.preparation.quality import is_far_better, legibility

Read = Callable[[Picture], Result]
Way = Callable[[Picture], Picture]


def read_right_way(ready: Picture, as_it_is: Page, steps: Collection[PreparationStep], read: Read) -> Result:
    """`as_it_is`, which is what `ready` reads as, or what it reads as another way up that these steps may take.

    The part of it with the most text is read each way, and then all of it the best way, where that is another one.
    """
    from ocrqueue_worker.preparation.ink import densest_band

    ways = list(_ways(steps))
    if not ways:
        return as_it_is
    part = ready.part(densest_band(ready.image))
    tried = [(read(part), None), *((read(way(part)), way) for way in ways)]
    results = [(page, way) for page, way in tried if isinstance(page, Page)]
    if len(results) < len(tried):
        return as_it_is
    best, way = max(results, key=lambda each: legibility(each[0]))
    if way is None or not is_far_better(best, results[0][0]):
        return as_it_is
    other = read(way(ready))
    return other if isinstance(other, Page) and is_far_better(other, as_it_is) else as_it_is


def _ways(steps: Collection[PreparationStep]) -> Iterator[Way]:
    if "rotate" in steps:
        yield lambda picture: picture.turned(180)
    if "mirror" in steps:
        yield Picture.mirrored
    if "rotate" in steps and "mirror" in steps:
        yield lambda picture: picture.mirrored().turned(180)
