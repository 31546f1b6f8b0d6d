"""Python imports this at its start, where it is on PYTHONPATH: time.sleep() that works with libfaketime.

libfaketime 0.9.10 adjusts the deadline of clock_nanosleep() although the clock asked for is not faked, and the call
fails with EINVAL; select() it leaves alone.
"""

from __future__ import annotations

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], max(0.0, seconds))


time.sleep = _sleep
