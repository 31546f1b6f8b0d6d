"""Lengths of time as people write them: 90s, 30m, 12h, 7d."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import click

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Seconds(click.FloatRange):
    """A number of seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        # which is in every range, since no comparison with it is true
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


SECONDS: Final = Seconds(min=0, max=10**9)
"""To wait: thirty years, which every clock can count."""


class Duration(click.ParamType[int]):
    """Seconds, from a number with one of the letters s, m, h and d."""

    name = "duration"

    def __init__(self, least_s: int = 0) -> None:
        self._least_s = least_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a length of time such as 90s, 30m, 12h or 7d.", param, ctx)
        seconds = int(found[1]) * _SECONDS[found[2]]
        if seconds < self._least_s:
            self.fail(f"{value} is less than {self._least_s} s.", param, ctx)
        return seconds
