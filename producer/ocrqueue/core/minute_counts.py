"""What happened in the last day, minute by minute: how many jobs ended, how many of them failed, how many pages were
read, by engine. The scripts count it as they end jobs: see scripts/shared/counts.lua."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.keys import Keys
from ocrqueue.core.script_arguments import PIPELINE
from ocrqueue.core.steps import Commands, Steps
from ocrqueue.errors import FilterInvalid

MOST_MINUTES: Final = 1440
_MINUTE_S: Final = 60
Counted = Literal["ended", "failed", "pages"]


class EngineCounts(BaseModel):
    """Of one engine, in each period; the oldest first."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    engine: str
    ended: tuple[int, ...]
    """Jobs that it was done with, whatever came of them; one that goes on to another engine counts for both."""
    failed: tuple[int, ...]
    """Those of them that failed."""
    pages: tuple[int, ...]
    """That it has read."""


class MinuteCounts(BaseModel):
    """What happened in periods that follow each other. The last one is not over."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    since: datetime
    """When the first period began, by Redis's clock."""
    period_s: int
    engines: tuple[EngineCounts, ...] = ()
    """Those that have ended a job or read a page since, by name."""


def minute_counts(keys: Keys, minutes: int, step: int) -> Steps[MinuteCounts]:
    """The last `minutes`, in periods of `step` minutes; each begins at a multiple of them. Raises FilterInvalid."""
    if not 1 <= step <= minutes <= MOST_MINUTES:
        raise FilterInvalid(
            f"{minutes} minutes in periods of {step} cannot be told of.",
            remedy=f"Ask for 1 to {MOST_MINUTES} minutes, in periods that are not longer.",
        )
    ((seconds, _),) = yield Commands([("TIME",)])
    last = int(seconds) // _MINUTE_S
    first = ((last - minutes) // step + 1) * step
    periods = (last - first) // step + 1
    found: defaultdict[str, dict[Counted, list[int]]] = defaultdict(
        lambda: {what: [0] * periods for what in get_args(Counted)}
    )
    for start in range(first, last + 1, PIPELINE):
        asked = range(start, min(start + PIPELINE, last + 1))
        stored = yield Commands([("HGETALL", keys.minute(minute)) for minute in asked])
        for minute, fields in zip(asked, stored, strict=True):
            _add(found, (minute - first) // step, fields)
    return MinuteCounts(
        since=datetime.fromtimestamp(first * _MINUTE_S, UTC),
        period_s=step * _MINUTE_S,
        engines=tuple(EngineCounts(engine=name, **counts) for name, counts in sorted(found.items())),
    )


def _add(found: Mapping[str, dict[Counted, list[int]]], period: int, fields: Mapping[bytes, bytes]) -> None:
    for name, count in fields.items():
        engine, _, what = name.decode(errors="replace").rpartition(":")
        # what a newer version counts as well is not ours to tell
        if what in get_args(Counted) and count.isdigit():
            found[engine][cast("Counted", what)][period] += int(count)
