"""What an engine that costs money by the image has been given: images a calendar month (UTC, by Redis's clock)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, cast

from ocrqueue.core.connection import broker_errors
from ocrqueue.core.registry import Registry

MONTH: Final = """
local function month_of(milliseconds)
  -- the civil calendar from days since 1970: http://howardhinnant.github.io/date_algorithms.html#civil_from_days
  local days = math.floor(milliseconds / 86400000) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local in_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * in_year + 2) / 153)
  if month < 10 then month = month + 3 else month = month - 9 end
  year = year + era * 400
  if month <= 2 then year = year + 1 end
  return string.format('%04d-%02d', year, month)
end
"""
"""Lua: the month of a time of Redis's, as `billed_by_month` names it."""


def billed_pages(registry: Registry, engine: str) -> int:
    """Images given to the engine's service this month; 0 of an engine that counts none. Raises BrokerUnavailable."""
    with broker_errors():
        seconds, _ = registry.client.time()
        month = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m}"
        count = cast("bytes | None", registry.client.hget(registry.keys.billed(engine), month))
    return int(count or 0)


def billed_by_month(registry: Registry, engine: str) -> dict[str, int]:
    """The same for every month on record, such as {"2026-02": 1200}, in order. Raises BrokerUnavailable."""
    with broker_errors():
        stored = cast("dict[bytes, bytes]", registry.client.hgetall(registry.keys.billed(engine)))
    return {month.decode(): int(count) for month, count in sorted(stored.items())}
