"""What workers have in hand at this moment, and how many jobs are in which state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.keys import Keys
from ocrqueue.core.records import FINAL_STATES, State
from ocrqueue.core.side_lanes import lane_of
from ocrqueue.core.steps import Commands, Steps

MOST_PARTS: Final = 1000
_OF_PART: Final = ("holder", "begun", "lane", "attempts")
_OF_JOB: Final = ("tenant", "progress")
_MOST_DIGITS: Final = 15


class PartInHand(BaseModel):
    """A job, or a page of one, that a worker has."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    job: str
    page: int | None = None
    """Of a job that was split: which page; None: the whole job, or its closing part."""
    holder: str
    """The worker's instance."""
    engine: str = ""
    tenant: str = ""
    begun_at: datetime | None = None
    """By Redis's clock; None: taken, and not begun."""
    attempt: int = 0
    pages_done: int = 0
    pages: int | None = None


class StateCounts(BaseModel):
    """How much there is, at one moment."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    running: int
    """Parts of jobs, mostly one a job, that workers have."""
    delayed: int
    """Parts in a pause before their next attempt."""
    succeeded: int
    """Jobs, as the following are, whose record is kept still; those whose record has just expired count a while."""
    partial: int
    failed: int
    cancelled: int
    dead: int
    """Dead letters: of the failed jobs, those that a replay may help."""
    webhooks_failed: int
    """Notices that nobody took."""


def reading_now(keys: Keys, most: int = MOST_PARTS) -> Steps[list[PartInHand]]:
    """What workers have in hand; those parts whose lease runs out first, `most` at most. Two round trips."""
    (names,) = yield Commands([("ZRANGE", keys.leases(), 0, most - 1)])
    parts = [name.decode(errors="replace") for name in names]
    if not parts:
        return []
    stored = yield Commands(
        [
            command
            for part in parts
            for command in (
                ("HMGET", keys.part(part), *_OF_PART),
                ("HMGET", keys.record(part.partition(":")[0]), *_OF_JOB),
            )
        ]
    )
    found = (_in_hand(part, stored[2 * at], stored[2 * at + 1]) for at, part in enumerate(parts))
    return [each for each in found if each is not None]


def state_counts(keys: Keys) -> Steps[StateCounts]:
    """One round trip, however many jobs there are."""
    ended = cast("list[State]", sorted(FINAL_STATES))
    running, delayed, dead, untold, *counts = yield Commands(
        [
            ("ZCARD", keys.leases()),
            ("ZCARD", keys.delayed()),
            ("ZCARD", keys.dead()),
            ("ZCARD", keys.notices_failed()),
            *(("ZCARD", keys.by_state(state)) for state in ended),
        ]
    )
    by_state: Mapping[str, int] = dict(zip(ended, counts, strict=True))
    return StateCounts(running=running, delayed=delayed, dead=dead, webhooks_failed=untold, **by_state)


def _in_hand(part: str, own: list[bytes | None], of_job: list[bytes | None]) -> PartInHand | None:
    """None where it has been let go meanwhile."""
    holder, begun, lane, attempts = (_text(value) for value in own)
    tenant, progress = (_text(value) for value in of_job)
    if not holder:
        return None
    job, _, page = part.partition(":")
    done, _, total = progress.partition("/")
    return PartInHand(
        job=job,
        page=_number(page),
        holder=holder,
        engine=lane_of(lane).split(".")[1] if lane.count(".") else "",
        tenant=tenant,
        begun_at=datetime.fromtimestamp((_number(begun) or 0) / 1000, UTC) if _number(begun) else None,
        attempt=_number(attempts) or 0,
        pages_done=_number(done) or 0,
        pages=_number(total),
    )


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < _MOST_DIGITS else None
