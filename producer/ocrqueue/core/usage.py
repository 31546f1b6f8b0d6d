"""What tenants have used, by day and by month: jobs, pages, processor time, bytes, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.keys import Keys
from ocrqueue.core.script_arguments import PIPELINE
from ocrqueue.core.steps import Commands, Steps
from ocrqueue.errors import FilterInvalid

Period = Literal["day", "month"]
MOST: Final[Mapping[Period, int]] = {"day": 400, "month": 13}
"""Periods that are kept."""
_EPOCH: Final = date(1970, 1, 1)


class Usage(BaseModel):
    """Of one tenant, in one period, in UTC."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    """Empty: the jobs that name none."""
    period: str
    """Such as 2026-02-03, or 2026-02."""
    jobs: int = 0
    """That have ended."""
    pages: int = 0
    """Of them, but those that were known from an earlier reading."""
    cpu_s: float = 0.0
    """Processor time of the workers."""
    bytes: int = 0
    """Of the images and documents that were read."""
    cost: float = 0.0
    """Of engines that cost money, in the currency of the setting engine_page_cost."""


def usage(keys: Keys, tenant: str | None, by: Period, last: int) -> Steps[list[Usage]]:
    """Of the tenant (None: of all), in each of the last periods in which it has used something; the newest first.

    Raises FilterInvalid.
    """
    if not 1 <= last <= MOST[by]:
        raise FilterInvalid(f"{last} is no number of {by}s from 1 to {MOST[by]}.")
    ((seconds, _),) = yield Commands([("TIME",)])
    today = datetime.fromtimestamp(seconds, UTC).date()
    periods = _days(today, last) if by == "day" else _months(today, last)
    tenants = [tenant] if tenant is not None else (yield from _tenants(keys, periods[-1], by))
    wanted = [(period, each) for period in periods for each in tenants]
    found: list[Usage] = []
    for start in range(0, len(wanted), PIPELINE):
        chunk = wanted[start : start + PIPELINE]
        stored = yield Commands([("HGETALL", _key(keys, period, each)) for period, each in chunk])
        found += [
            parse_usage(each, period, fields) for (period, each), fields in zip(chunk, stored, strict=True) if fields
        ]
    return found


def parse_usage(tenant: str, period: str, fields: Mapping[bytes, bytes]) -> Usage:
    """From the hash as Redis returns it."""
    text = {name.decode(): value for name, value in fields.items()}
    return Usage(
        tenant=tenant,
        period=period,
        jobs=int(text.get("jobs", 0)),
        pages=int(text.get("pages", 0)),
        cpu_s=round(float(text.get("cpu_s", 0)), 3),
        bytes=int(text.get("bytes", 0)),
        cost=round(float(text.get("cost", 0)), 6),
    )


def _tenants(keys: Keys, earliest: str, by: Period) -> Steps[Sequence[str]]:
    first = date.fromisoformat(earliest if by == "day" else f"{earliest}-01")
    (names,) = yield Commands([("ZRANGEBYSCORE", keys.usage_tenants(), (first - _EPOCH).days, "+inf")])
    return sorted(name.decode(errors="replace") for name in names)


def _key(keys: Keys, period: str, tenant: str) -> str:
    if len(period) == len("2026-02"):
        return keys.month_usage(period, tenant)
    return keys.usage((date.fromisoformat(period) - _EPOCH).days, tenant)


def _days(today: date, last: int) -> list[str]:
    return [(today - timedelta(days=back)).isoformat() for back in range(last)]


def _months(today: date, last: int) -> list[str]:
    first = today.year * 12 + today.month - 1
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(first, first - last, -1)]
