"""Moments that a caller names, in a query or a body."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator


def _with_date(value: object) -> object:
    """A number is no time: whether it is of seconds or of milliseconds, nobody knows."""
    if value is not None and not re.match(r"\d{4}-\d\d-\d\d", str(value)):
        raise ValueError("not a time as RFC 3339 has it")
    return value


Moment = Annotated[datetime, BeforeValidator(_with_date)]
"""As RFC 3339 has it."""
