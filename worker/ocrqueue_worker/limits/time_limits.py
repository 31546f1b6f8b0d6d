"""How long an attempt at a job may take: as long as its engine's limits allow, or less if the job asks for less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings

_SHARE_OF_SOFT_LIMIT: Final = 0.95
_SHARE_WITH_OUTPUTS: Final = 0.98


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds from the attempt's start in the worker child."""

    soft_s: int
    """The job ends as engine.timeout, with what was read until then if it has several pages."""
    hard_s: int
    """The child is killed, and the job ends as engine.timeout."""

    @property
    def engine_s(self) -> float:
        """What the engine may use: the rest is for storing what was read until then."""
        return self.soft_s * _SHARE_OF_SOFT_LIMIT

    @property
    def outputs_s(self) -> float:
        """When the files beside the result are to be written: the rest is for storing the result."""
        return self.soft_s * _SHARE_WITH_OUTPUTS


def time_limits(settings: WorkerSettings, job: Job | None) -> TimeLimits:
    """The limits of a job; None stands for one that cannot be read.

    A job can lower its engine's soft limit and not raise it. The hard one stays as far above it as it is.
    """
    engine, wanted_s = (job.engine, job.time_limit_s) if job else ("", None)
    soft_s, hard_s = settings.soft_time_limit_s.of(engine), settings.hard_time_limit_s.of(engine)
    own_s = soft_s if wanted_s is None else min(soft_s, wanted_s)
    return TimeLimits(own_s, own_s + hard_s - soft_s)


def group_time_limits(settings: WorkerSettings, jobs: Sequence[Job]) -> TimeLimits:
    """The limits of jobs that came in one message: together they have the time of one of them, that with the least."""
    if not jobs:
        return time_limits(settings, None)
    return min((time_limits(settings, job) for job in jobs), key=lambda limits: limits.soft_s)
