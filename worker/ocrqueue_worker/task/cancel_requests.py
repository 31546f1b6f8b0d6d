"""Parts under way that are to stop, as Redis said: by its channel at once, by the heartbeat's answer otherwise."""

from __future__ import annotations

import threading
import time
from typing import Final

from ocrqueue.core import Hold

GRACE_S: Final = 0.7
"""In which a part that looks up may stop by itself."""


class CancelRequests:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[Hold, float] = {}
        self.asked = threading.Event()

    def note(self, hold: Hold) -> None:
        with self._lock:
            self._due.setdefault(hold, time.monotonic() + GRACE_S)
        self.asked.set()

    def overdue(self) -> list[Hold]:
        """Those whose grace is over; they are forgotten by this."""
        now = time.monotonic()
        with self._lock:
            found = [hold for hold, due in self._due.items() if due <= now]
            for hold in found:
                del self._due[hold]
            return found

    def forget_all_but(self, holds: set[Hold]) -> None:
        """What is not in hand any more needs no stopping."""
        with self._lock:
            self._due = {hold: due for hold, due in self._due.items() if hold in holds}

    def is_empty(self) -> bool:
        return not self._due


CANCEL_REQUESTS: Final = CancelRequests()
"""Those of this process."""
