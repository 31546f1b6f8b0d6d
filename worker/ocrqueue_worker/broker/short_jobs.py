"""Jobs that take moments, by their kind: a child gets several of them at once.

What a job costs beside its reading, from TAKE to the message that brings it to a child, takes a millisecond or two. To
jobs that take no longer themselves that matters: images that were read before, and pages with a text of their own. They
share it. One that takes long holds up what came with it, so a kind counts as short by what its jobs took lately.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_WORTH_S: Final = 0.1
"""What a child gets at once is to take so long."""
_MOST: Final = 8
_KNOWN_AFTER: Final = 16
"""Jobs of a kind that must have ended before."""
_SHARE_OF_NEW: Final = 0.2
_MOST_KINDS: Final = 100
"""Those that ended last. A TAKE names the short ones among those of its lanes."""


@dataclass(slots=True)
class _Seen:
    jobs: int
    seconds: float
    """That one takes: a moving mean, to which a longer time counts in full."""


class ShortJobs:
    """What one worker process has seen. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.most = 1
        """Jobs that a child may get at once; 1 where there are no children to give them to."""
        self._seen: OrderedDict[tuple[str, str], _Seen] = OrderedDict()

    def allow(self) -> None:
        """There are children, which read one after the other what they get."""
        self.most = _MOST

    def note(self, lane: str, kind: str, jobs: int, seconds: float) -> None:
        """So many jobs of a kind took `seconds` together. An empty kind is read alone, whatever it takes."""
        if self.most == 1 or not kind:
            return
        each = seconds / jobs
        with self._lock:
            seen = self._seen.setdefault((lane, kind), _Seen(0, each))
            seen.jobs += jobs
            seen.seconds = max(each, seen.seconds + _SHARE_OF_NEW * (each - seen.seconds))
            self._seen.move_to_end((lane, kind))
            if len(self._seen) > _MOST_KINDS:
                self._seen.popitem(last=False)

    def together(self, lane: str, above: int = 1) -> dict[str, int]:
        """How many jobs of each short kind of the lane a child may get at once, where they are more than `above`."""
        with self._lock:
            return {
                kind: count
                for (of, kind), seen in self._seen.items()
                if of == lane and seen.jobs >= _KNOWN_AFTER and (count := self._count(seen.seconds)) > above
            }

    def _count(self, seconds: float) -> int:
        return self.most if seconds * self.most <= _WORTH_S else int(_WORTH_S / seconds)


SHORT_JOBS: Final = ShortJobs()
"""Those of this process."""
