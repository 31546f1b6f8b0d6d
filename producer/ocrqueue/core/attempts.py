"""What became of a job's attempts, and when it was replayed; see scripts/shared/attempts.lua."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from ocrqueue.core.records import JobStatus, newest_start, parse_record
from ocrqueue.errors import ErrorInfo

_EARLIEST: Final = datetime.fromtimestamp(0, UTC)


class Attempt(BaseModel):
    """One attempt at a job, or at a page of it."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    became: str
    """retried, given back (its worker stopped), lost (its worker did not answer), sent on (to the next engine of its
    route), replayed (it was the last before a replay, which was at `ended_at`), running, or the state in which the job
    or the page has ended."""
    number: int | None = None
    """From 1; begins again with a replay."""
    page: int | None = None
    worker: str | None = None
    engine: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: ErrorInfo | None = None


def attempts(job_id: str, record: Mapping[bytes, bytes]) -> tuple[Attempt, ...]:
    """In order: the newest 32, as many pages that were read, and the last. `record`: its hash as Redis returns it."""
    lines = [
        line
        for field in (b"log", b"pages_log")
        # splitlines() would break at characters that JSON leaves as they are, such as U+2028
        for line in record.get(field, b"").decode(errors="replace").split("\n")
    ]
    found = [attempt for line in lines if (attempt := _parsed(line)) is not None]
    found.sort(key=lambda attempt: attempt.ended_at or _EARLIEST)
    status = parse_record(job_id, record)
    is_under_way = status.state == "running" and b"begun" in record
    if status.attempts and (status.finished or is_under_way):
        found.append(_last(status, newest_start(record)))
    return tuple(found)


def _last(status: JobStatus, started_at: datetime | None) -> Attempt:
    return Attempt(
        became=status.state,
        number=status.attempts,
        worker=status.worker,
        engine=status.engine,
        started_at=started_at,
        ended_at=status.finished_at,
        error=status.error,
    )


def _parsed(line: str) -> Attempt | None:
    try:
        told: dict[str, Any] = json.loads(line)
        times = {f"{name}_at": _time(told.get(name)) for name in ("started", "ended")}
        return Attempt.model_validate({**told, **times})
    except (ValueError, TypeError, AttributeError, OverflowError, ValidationError):
        return None


def _time(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
