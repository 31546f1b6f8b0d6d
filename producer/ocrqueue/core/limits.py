"""What a tenant may have: how many jobs in a time and waiting, how many pages and how much money a month.

SUBMIT holds every submission to it, whichever door it came through; see scripts/shared/tenant_limits.lua. A job at work
counts as one page, and as what that costs, until what it came to is counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, TypedDict, Unpack, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ocrqueue.core.keys import Keys
from ocrqueue.core.steps import Commands, Steps
from ocrqueue.errors import TenantLimitInvalid
from ocrqueue.job import TENANT, describe_validation_error

LimitName = Literal["rate", "waiting", "pages_a_month", "budget_a_month"]
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST: Final = 10**9


class Rate(BaseModel):
    """So many in a time, all at once if need be."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    count: Annotated[int, Field(ge=1, le=10**6)]
    per_s: Literal[1, 60, 3600, 86_400]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `10/s`, `600/m`, `5000/h` or `20000/d`. Raises ValueError."""
        found = re.fullmatch(r"([1-9][0-9]{0,6})/([smhd])", text)
        if found is None or int(found[1]) > 10**6:
            raise ValueError(f"{text[:40]!r} is no rate such as 10/s, 600/m, 5000/h or 20000/d.")
        return cls.model_validate({"count": int(found[1]), "per_s": _UNITS[found[2]]})

    def __str__(self) -> str:
        unit = next(name for name, seconds in _UNITS.items() if seconds == self.per_s)
        return f"{self.count}/{unit}"


class TenantLimits(BaseModel):
    """Of one tenant; None: no limit."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    rate: Rate | None = None
    """Jobs that are submitted in a time."""
    waiting: Annotated[int, Field(ge=0, le=_MOST)] | None = None
    """Jobs, and parts of jobs, that wait in all lanes together."""
    pages_a_month: Annotated[int, Field(ge=0, le=_MOST)] | None = None
    """In a calendar month (UTC)."""
    budget_a_month: Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)] | None = None
    """What pages of engines that cost money may come to in it, in the currency of the setting engine_page_cost."""


class LimitChanges(TypedDict, total=False):
    """Those that are to change; None takes a limit away."""

    rate: str | None
    waiting: int | None
    pages_a_month: int | None
    budget_a_month: float | None


def limits_of(keys: Keys, tenant: str) -> Steps[TenantLimits]:
    """Of the tenant; none of a tenant that was given none."""
    stored, *_ = yield Commands([("HGET", keys.limits(), tenant)])
    return _parse(stored)


def set_limits(keys: Keys, tenant: str, **changes: Unpack[LimitChanges]) -> Steps[TenantLimits]:
    """Changes those that are given, for all that is submitted from now on. Raises TenantLimitInvalid."""
    if not re.fullmatch(TENANT, tenant):
        raise TenantLimitInvalid(f"{tenant[:80]!r} is no tenant's name.")
    before = yield from limits_of(keys, tenant)
    given = dict(changes)
    try:
        if isinstance(rate := given.get("rate"), str):
            given["rate"] = Rate.parse(rate).model_dump()
        limits = TenantLimits.model_validate({**before.model_dump(), **given})
    except ValidationError as error:
        raise TenantLimitInvalid(describe_validation_error(error)) from None
    except ValueError as error:
        raise TenantLimitInvalid(str(error)) from None
    text = limits.model_dump_json(exclude_none=True)
    if limits == TenantLimits():
        yield Commands([("HDEL", keys.limits(), tenant)])
    else:
        yield Commands([("HSET", keys.limits(), tenant, text)])
    return limits


def parse_limits(stored: object) -> dict[str, TenantLimits]:
    """Of every tenant that has any, from the hash as Redis returns it."""
    pairs = cast("Mapping[bytes, bytes]", stored)
    return {name.decode(errors="replace"): _parse(text) for name, text in pairs.items()}


def _parse(text: bytes | None) -> TenantLimits:
    try:
        return TenantLimits.model_validate_json(text) if text else TenantLimits()
    except ValidationError:
        return TenantLimits()  # `check` tells of it
