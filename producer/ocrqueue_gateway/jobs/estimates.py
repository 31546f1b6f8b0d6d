"""How long a job that was submitted now should wait: asked once a second for each lane, however many are submitted."""

from __future__ import annotations

import math
import time
from typing import Final

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import OcrQueueError

_FRESH_S: Final = 1.0
_LEAST_S: Final = 1
_MOST_S: Final = 300
_MOST_LANES: Final = 1000


class Estimates:
    """Of one replica."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], tuple[float, int]] = {}

    async def retry_after_s(self, queue: AsyncOcrQueue, lane: tuple[str, str, str], job_id: str) -> int:
        """Whole seconds after which to look at the job. `lane`: engine, priority and tenant."""
        now = time.monotonic()
        known = self._known.get(lane)
        if known is not None and now - known[0] < _FRESH_S:
            return known[1]
        if len(self._known) >= _MOST_LANES:
            self._known.clear()
        # others do not ask meanwhile
        self._known[lane] = (now, known[1] if known is not None else _LEAST_S)
        try:
            place = await queue.place(job_id)
        except OcrQueueError:  # the job is queued: that is what counts
            return self._known[lane][1]
        wait_s = place.wait_s if place is not None and place.wait_s is not None else 0.0
        self._known[lane] = (now, min(max(math.ceil(wait_s), _LEAST_S), _MOST_S))
        return self._known[lane][1]
