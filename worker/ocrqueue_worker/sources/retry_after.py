"""How long a host asks to be left alone: the header Retry-After (RFC 9110, 10.2.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

RETRY_AFTER: Final = "retry_after_s"
"""The name under which an error's details hold it."""
_LONGEST_S: Final = 86_400.0


def retry_after(value: str | None) -> dict[str, Any]:
    """The details of an error whose answer had this header: seconds or a date, a day at most; {} if it says nothing."""
    if not value:
        return {}
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            at = parsedate_to_datetime(value)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    except (ValueError, OverflowError):
        return {}
    return {RETRY_AFTER: round(min(seconds, _LONGEST_S), 1)} if seconds > 0 else {}
