"""Moments that a caller names, in a query or a body."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, TypeAdapter, ValidationError

_TIME: Final = TypeAdapter(datetime)


def _parsed(value: object) -> object:
    """A number is no time: whether it is of seconds or of milliseconds, nobody knows."""
    if value is None:
        return None
    try:
        if re.match(r"\d{4}-\d\d-\d\d", str(value)):
            return _TIME.validate_python(value)
    except ValidationError:
        pass
    raise ValueError("not a time as RFC 3339 has it")


Moment = Annotated[datetime, BeforeValidator(_parsed)]
"""As RFC 3339 has it."""
