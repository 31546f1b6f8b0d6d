"""Times to wait that callers give."""

from __future__ import annotations

import math


def check_seconds(name: str, seconds: object) -> None:
    """Raises TypeError for what is no number, ValueError for NaN: compared with a clock, both would wait forever."""
    if seconds is None:
        return
    if not isinstance(seconds, int | float):
        raise TypeError(f"{name} must be a number of seconds or None, not {type(seconds).__name__}")
    if math.isnan(seconds):
        raise ValueError(f"{name} is not a number")


def shown_seconds(seconds: float | None) -> str:
    """`0.2 s`, `60 s`."""
    return f"{seconds:,.10g} s" if seconds is not None else "any time"
