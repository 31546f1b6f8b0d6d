"""How fast an engine's jobs end, from what `finish` counts in periods of 10 s, and what that says of a queue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

PERIOD_S: Final = 10
KEPT_PERIODS: Final = 30
_LAST_MINUTE: Final = 6

RETRY_AFTER_UNKNOWN_S: Final = 60
"""When to come back to a full queue if none of its jobs has ended in the last 5 minutes."""
_RETRY_AFTER_LEAST_S: Final = 1
_RETRY_AFTER_MOST_S: Final = 300


def parse_counts(stored: Mapping[bytes, bytes]) -> dict[int, int]:
    """Number of the period since 1970 -> jobs that ended in it, from the hash as Redis returns it."""
    return {int(period): int(count) for period, count in stored.items()}


def jobs_per_second(counts: Mapping[int, int], now_s: float) -> float | None:
    """The rate of the last minute or of the last 5 minutes, whichever is higher: a quiet time does not count for long.

    Where the first job of these minutes ended later than they began, since then. `now_s` is by Redis's clock. None
    where no job has ended.
    """
    current = int(now_s // PERIOD_S)
    lately = {period: count for period, count in counts.items() if current - KEPT_PERIODS < period <= current}
    if not lately:
        return None
    rates = []
    for periods in (_LAST_MINUTE, KEPT_PERIODS):
        first = max(current - periods + 1, min(lately))
        ended = sum(count for period, count in lately.items() if period >= first)
        rates.append(ended / max(now_s - first * PERIOD_S, PERIOD_S))
    return max(rates)


def per_minute(stored: Mapping[bytes, bytes], now_s: float) -> float | None:
    """The same from the hash as Redis returns it, in jobs (or pages, where these are counted) per minute."""
    rate = jobs_per_second(parse_counts(stored), now_s)
    return None if rate is None else rate * 60


def retry_after_s(jobs: int, rate: float | None) -> int:
    """Whole seconds until so many jobs have ended at `rate` (jobs per second): from 1 to 300, 60 at an unknown rate."""
    if rate is None:
        return RETRY_AFTER_UNKNOWN_S
    return min(max(math.ceil(jobs / rate), _RETRY_AFTER_LEAST_S), _RETRY_AFTER_MOST_S)
