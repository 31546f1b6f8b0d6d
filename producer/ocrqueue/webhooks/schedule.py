"""When a notice that was not taken is told again: the schedule that Standard Webhooks recommends."""

from __future__ import annotations

import random
from typing import Final

_HOUR_S: Final = 3600.0
DELAYS_S: Final = (
    5.0,
    300.0,
    1800.0,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)
"""After the first attempt, the second, and so on: 75 hours in all."""
ATTEMPTS: Final = len(DELAYS_S) + 1
GIVE_UP_S: Final = sum(DELAYS_S) + _HOUR_S
"""A notice that is older, as where its host has been too slow for all that wait for it, is not tried again."""
_JITTER: Final = 0.1
_LONGEST_ASKED_S: Final = 24 * _HOUR_S


def delay_s(attempts: int, asked_s: float = 0.0) -> float | None:
    """The pause after so many attempts, up to a tenth shorter by chance, so that not all are due at once. None: it was
    the last one. `asked_s`: what the receiver has asked for."""
    if attempts >= ATTEMPTS:
        return None
    pause = DELAYS_S[max(0, attempts - 1)] * (1 - _JITTER * random.random())  # noqa: S311  # no secret
    return max(pause, min(asked_s, _LONGEST_ASKED_S))
