"""JobFilter: which jobs are meant, by what is known of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self, TypedDict

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.records import FINAL_STATES, State

AT_WORK: Final[frozenset[State]] = frozenset({"queued", "running"})


class Wanted(TypedDict, total=False):
    """What can be asked of jobs; all of it holds of those that are meant."""

    tag: str | None
    tenant: str | None
    """"": jobs without one."""
    batch: str | None
    """Of the tenant; without one, a batch of jobs that have none."""
    state: State | Collection[State] | None
    """One, or one of these."""
    code: str | None
    """Of the error of jobs that failed."""
    since: datetime | None
    """Submitted since then, or, of jobs that have ended, ended since then."""


class JobFilter(BaseModel):
    """Jobs for which all holds that is given; all jobs where nothing is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: str | None = None
    tenant: str | None = None
    """"": jobs without a tenant."""
    batch: str | None = None
    """Of that tenant."""
    states: frozenset[State] | None = None
    """One of these; None: any."""
    code: str | None = None
    """Of the error of a job that failed."""
    since: datetime | None = None
    """Submitted since then, or, of a job that has ended, ended since then."""

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
        """A code means jobs that failed; a batch without a tenant, jobs without one.

        A time without a zone is taken to be the machine's own.
        """
        states: frozenset[State] | None = frozenset([state] if isinstance(state, str) else state) if state else None
        if code is not None:
            failed: frozenset[State] = frozenset({"failed"})
            states = failed if states is None else states & failed
        if batch is not None and tenant is None:
            tenant = ""
        zoned = since and since.astimezone(UTC)
        return cls(tag=tag, tenant=tenant, batch=batch, states=states, code=code, since=zoned)

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
