"""Jobs as callers name them: by ids, or by handles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Handle(Protocol):
    """SubmittedJob, AsyncSubmittedJob."""

    id: str


AnyHandle = TypeVar("AnyHandle", bound=Handle)


def ids_given(job_ids: Iterable[str]) -> list[str]:
    """Raises TypeError for one id in the place of several, whose letters would be taken for ids, and for handles."""
    if isinstance(job_ids, str | bytes):
        raise TypeError("give several ids, such as [id], not one")
    given = list(job_ids)
    for job_id in given:
        if not isinstance(job_id, str):
            raise TypeError(f"give ids, such as [job.id for job in jobs], not {type(job_id).__name__}")
    return given


def handles_given(jobs: Iterable[AnyHandle]) -> dict[str, AnyHandle]:
    """By id. Raises TypeError for ids, and for one handle in the place of several."""
    if isinstance(jobs, str | bytes) or not isinstance(jobs, Iterable):
        raise TypeError("give several jobs, such as [job]")
    given: dict[str, AnyHandle] = {}
    for job in jobs:
        if not isinstance(getattr(job, "id", None), str):
            kind = "ids" if isinstance(job, str) else type(job).__name__
            raise TypeError(f"give jobs, such as [queue.job(id) for id in ids], not {kind}")
        given[job.id] = job
    return given
