"""JobFilter: which jobs are meant, by what is known of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final, Self, TypedDict, get_args

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.records import FINAL_STATES, State
from ocrqueue.errors import FilterInvalid, error_classes
from ocrqueue.job import BATCH, JOB_ID, TENANT

AT_WORK: Final[frozenset[State]] = frozenset({"queued", "running"})
NO_NAME: Final = "-"
"""Stands for the jobs that name no tenant: no tenant's name begins so. An empty name is refused, for it is most often a
variable that was not set."""
MOST_IDS: Final = 1000
"""Of one action: what bounds its memory."""
_MISSPELT: Final = 0.9
"""Of difflib: a code that is so like a known one, and no other, is taken for a slip."""
_LONGEST_TEXT: Final = 256
"""The longest tag of a job."""
_STATES: Final = tuple(state for state in get_args(State) if state != "unknown")


class Wanted(TypedDict, total=False):
    """What can be asked of jobs; all of it holds of those that are meant."""

    tag: str | None
    tenant: str | None
    """"-": jobs without one."""
    batch: str | None
    """A batch of the tenant; without a tenant, a batch of jobs that have none."""
    state: State | Collection[State] | None
    """One, or one of these."""
    code: str | None
    """The error code of failed jobs."""
    since: datetime | None
    """Submitted since then, or, of jobs that have ended, ended since then."""


class JobFilter(BaseModel):
    """Jobs for which all holds that is given; all jobs where nothing is."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")

    tag: str | None = None
    tenant: str | None = None
    """"": jobs without a tenant."""
    batch: str | None = None
    """A batch of that tenant."""
    states: frozenset[State] | None = None
    """One of these; None: any."""
    code: str | None = None
    """The error code of a failed job."""
    since: datetime | None = None
    """Submitted since then, or, of a job that has ended, ended since then."""
    ids: tuple[str, ...] | None = None
    """One of these; only an action on many jobs is asked for so."""

    @classmethod
    def of(
        cls,
        *,
        tag: str | None = None,
        tenant: str | None = None,
        batch: str | None = None,
        state: State | Collection[State] | None = None,
        code: str | None = None,
        since: datetime | None = None,
    ) -> Self:
        """A code means jobs that failed; a batch without a tenant, jobs without one; the tenant `-`, jobs without one.

        A time without a zone is taken to be the machine's own. Raises FilterInvalid.
        """
        states = None if state is None else _states(state)
        if _code(code) is not None:
            failed: frozenset[State] = frozenset({"failed"})
            states = failed if states is None else states & failed
        _name("batch", BATCH, batch)
        if tenant == NO_NAME or (batch is not None and tenant is None):
            tenant = ""
        else:
            _name("tenant", TENANT, tenant)
        zoned = None if since is None else _time(since)
        return cls(tag=_text("tag", tag), tenant=tenant, batch=batch, states=states, code=code, since=zoned)

    def named(self, job_ids: Collection[str]) -> Self:
        """Those of them that have one of these ids. Raises FilterInvalid."""
        ids = tuple(dict.fromkeys(job_ids))
        if not ids:
            raise FilterInvalid("The list of ids is empty.")
        if len(ids) > MOST_IDS:
            raise FilterInvalid(f"{len(ids)} ids are too many.", remedy=f"Name {MOST_IDS} at most, or use a filter.")
        if wrong := [job_id for job_id in ids if not re.fullmatch(JOB_ID.strip("^$"), job_id)]:
            raise FilterInvalid(f"No job can have the id {_shown(wrong[0])}.")
        return self.model_copy(update={"ids": ids})

    @property
    def names_any(self) -> bool:
        """Whether anything is given, so that not all jobs are meant."""
        return self != JobFilter()

    def only(self, states: frozenset[State]) -> JobFilter | None:
        """Those of them that are in one of these states; None where there can be none."""
        both = states if self.states is None else self.states & states
        return self.model_copy(update={"states": both}) if both else None

    @property
    def may_be_at_work(self) -> bool:
        return self.states is None or bool(self.states & AT_WORK)

    def may_be(self, state: State) -> bool:
        return self.states is None or state in self.states

    @property
    def ended_states(self) -> list[State]:
        return sorted(FINAL_STATES if self.states is None else self.states & FINAL_STATES)

    def to_options(self) -> dict[str, Any]:
        """As scripts/find.lua takes it."""
        given: dict[str, Any] = {"tag": self.tag, "tenant": self.tenant, "batch": self.batch, "code": self.code}
        if self.states is not None:
            given["states"] = dict.fromkeys(sorted(self.states), True)
        if self.since is not None:
            given["since_ms"] = int(self.since.timestamp() * 1000)
        return {name: value for name, value in given.items() if value is not None}

    def to_message(self) -> Mapping[str, Any]:
        """What is given, as plain JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True)


def check_limit(limit: int) -> int:
    """Raises FilterInvalid for what is no number of things to return."""
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise FilterInvalid(f"The limit {limit!r} is not a number from 1 on.", remedy="Ask for one or more.")
    return limit


def _text(what: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise FilterInvalid(f"The {what} {_shown(value)} is not text.")
    if not value:
        raise FilterInvalid(f"The {what} is empty.")
    if len(value) > _LONGEST_TEXT:
        raise FilterInvalid(f"The {what} has {len(value)} characters; no job's has more than {_LONGEST_TEXT}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FilterInvalid(f"The {what} {_shown(value)} has half of a character, which no job's has.") from None
    return value


def _code(value: str | None) -> str | None:
    if _text("code", value) is None or value in error_classes():
        return value
    near = get_close_matches(value or "", error_classes(), 1, _MISSPELT)
    if not near and "." in (value or ""):
        # of an engine that somebody else has written, or of a newer version
        return value
    raise FilterInvalid(
        f"No job can fail with {_shown(value)}.",
        remedy=f"Did you mean {near[0]!r}?" if near else "docs/errors.md lists all codes.",
    )


def _name(what: str, pattern: str, value: str | None) -> None:
    if _text(what, value) is not None and not re.fullmatch(pattern.strip("^$"), value or ""):
        raise FilterInvalid(f"No {what} can be called {_shown(value)}.")


def _states(given: State | Collection[State]) -> frozenset[State]:
    remedy = f"States are {', '.join(_STATES)}."
    try:
        asked: frozenset[State] = frozenset([given] if isinstance(given, str) else given)
    except TypeError:
        raise FilterInvalid(f"The state {_shown(given)} is not valid.", remedy=remedy) from None
    if not asked:
        raise FilterInvalid("The list of states is empty.", remedy=remedy)
    if wrong := [state for state in asked if state not in _STATES]:
        raise FilterInvalid(f"No job can be {_shown(wrong[0])}.", remedy=remedy)
    return asked


def _time(since: datetime) -> datetime:
    try:
        return since.astimezone(UTC)
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise FilterInvalid(
            f"{_shown(since)} is not a time that a job can have.", remedy="Give a datetime since 1970."
        ) from None


def _shown(value: object) -> str:
    return ascii(value)[:120]
