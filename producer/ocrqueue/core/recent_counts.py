"""What happened in the last minutes, by kind: how long jobs waited, and with which errors they failed.

The script `begin` counts a job's wait at its first start, `finish` the error of one that failed: a hash field for each
period of 10 s and kind, for 5 minutes. Of waits the kind is the bucket floor(2 log2(wait in ms)), two for each
doubling, so that a quantile is within a fifth of the true one and the hash has some hundred fields, however many jobs
there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ocrqueue.core.rates import KEPT_PERIODS, PERIOD_S

_BUCKETS_PER_DOUBLING: Final = 2


def count_by_kind(stored: Mapping[bytes, bytes], now_s: float) -> Counter[str]:
    """Kind -> count, of the hash as Redis returns it; `now_s` is by Redis's clock."""
    oldest = int(now_s // PERIOD_S) - KEPT_PERIODS
    counts: Counter[str] = Counter()
    for field, count in stored.items():
        period, _, kind = field.decode(errors="replace").partition(":")
        if period.isdigit() and int(period) > oldest:
            counts[kind] += int(count)
    return counts


def wait_quantile(buckets: Mapping[str, int], share: float) -> float | None:
    """The wait in seconds that `share` of the jobs (0 to 1) did not exceed; None where there was no job.

    The middle, by ratio, of the bucket that it falls into; 0.0 of the lowest, which holds less than 1.5 ms.
    """
    counted = sorted((int(kind), count) for kind, count in buckets.items() if kind.isdigit())
    rank, passed = share * sum(count for _, count in counted), 0
    for bucket, count in counted:
        passed += count
        if passed >= rank:
            return 2.0 ** ((bucket + 0.5) / _BUCKETS_PER_DOUBLING) / 1000 if bucket else 0.0
    return None
