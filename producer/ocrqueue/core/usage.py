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

    model_config = ConfigDict(frozen=True, defer_build=True)

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
    days = days_of(datetime.fromtimestamp(seconds, UTC).date(), by, last)
    tenants = [tenant] if tenant is not None else (yield from _tenants(keys, days[-1]))
    wanted = [(day, each) for day in days for each in tenants]
    found: dict[tuple[str, str], Usage] = {}
    for start in range(0, len(wanted), PIPELINE):
        chunk = wanted[start : start + PIPELINE]
        stored = yield Commands([("HGETALL", keys.usage(number_of(day), each)) for day, each in chunk])
        for (day, each), fields in zip(chunk, stored, strict=True):
            if fields:
                add_usage(found, each, period_of(day, by), fields)
    return list(found.values())


def add_usage(found: dict[tuple[str, str], Usage], tenant: str, period: str, fields: Mapping[bytes, bytes]) -> None:
    """What a day's hash has, as Redis returns it, to the sum of its period."""
    before = found.get((period, tenant)) or Usage(tenant=tenant, period=period)
    text = {name.decode(): value for name, value in fields.items()}
    found[period, tenant] = before.model_copy(
        update={
            "jobs": before.jobs + int(text.get("jobs", 0)),
            "pages": before.pages + int(text.get("pages", 0)),
            "cpu_s": round(before.cpu_s + float(text.get("cpu_s", 0)), 3),
            "bytes": before.bytes + int(text.get("bytes", 0)),
            "cost": round(before.cost + float(text.get("cost", 0)), 6),
        }
    )


def days_of(today: date, by: Period, last: int) -> list[date]:
    """All days of the last periods, the newest first."""
    if by == "day":
        return [today - timedelta(days=back) for back in range(last)]
    month = today.year * 12 + today.month - last
    first = date(month // 12, month % 12 + 1, 1)
    return [today - timedelta(days=back) for back in range((today - first).days + 1)]


def number_of(day: date) -> int:
    """Since 1970."""
    return (day - _EPOCH).days


def period_of(day: date, by: Period) -> str:
    return day.isoformat() if by == "day" else f"{day:%Y-%m}"


def _tenants(keys: Keys, first: date) -> Steps[Sequence[str]]:
    (names,) = yield Commands([("ZRANGEBYSCORE", keys.usage_tenants(), number_of(first), "+inf")])
    return sorted(name.decode(errors="replace") for name in names)
