"""How long an attempt at a job may take: as long as its engine's limits allow, or less if the job asks for less."""

from __future__ import annotations

from dataclasses import dataclass

from ocrqueue.job import Job
from ocrqueue.settings import Settings


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds from the attempt's start in the worker child."""

    soft_s: int
    """The job ends as engine.timeout, with what was read until then if it has several pages."""
    hard_s: int
    """The child is killed, and the job ends as engine.timeout."""


def time_limits(settings: Settings, job: Job | None) -> TimeLimits:
    """The limits of a job; None stands for one that cannot be read.

    A job can lower its engine's soft limit and not raise it. The hard one stays as far above it as it is.
    """
    engine, wanted_s = (job.engine, job.time_limit_s) if job else ("", None)
    soft_s, hard_s = settings.soft_time_limit_s.of(engine), settings.hard_time_limit_s.of(engine)
    own_s = soft_s if wanted_s is None else min(soft_s, wanted_s)
    return TimeLimits(own_s, own_s + hard_s - soft_s)
