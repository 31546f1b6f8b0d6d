"""Injects and heals faults, and writes down when and whom they hit."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import redis.exceptions

from ocrqueue.errors import OcrQueueError
from tests.faults.broker_faults import RedisKilled
from tests.faults.faults import Fault, NotPossible, injected
from tests.faults.installation import Installation
from tests.faults.process_faults import OfAJob

_MOST_HITS: Final = 2
"""Of one healthy job: hit as often as delivery_cap, it would rightly end as job.poison."""
_WAIT_FOR_A_JOB_S: Final = 8.0
_EVERYSEC_S: Final = 2.0
"""What Redis may forget when it is killed, with an append-only file synced every second."""
_AROUND_S: Final = 5.0


@dataclass(eq=False)
class Injection:
    """A fault as it was done. Times in seconds since 1970."""

    fault: Fault
    injected_at: float = 0.0
    healed_at: float = 0.0
    hit: tuple[str, ...] = ()
    """The healthy jobs that it hit, where it hits jobs."""
    not_possible: str | None = None

    @property
    def done(self) -> bool:
        return self.not_possible is None


@dataclass(eq=False)
class Injector:
    """inject() may be called from several threads, for faults of different parts."""

    into: Installation
    healthy: Callable[[str], bool]
    """Whether the job of this id must succeed."""
    injections: list[Injection] = field(default_factory=list)
    _hits: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(self, fault: Fault) -> None:
        """And heal it when its time is over."""
        injection = Injection(fault)
        self.injections.append(injection)
        try:
            injection.hit = self._choose(fault)
            injection.injected_at = time.time()
            with injected(fault, self.into):
                time.sleep(fault.seconds)
            injection.healed_at = time.time()
        except NotPossible as error:
            injection.not_possible = str(error)
        except (redis.exceptions.RedisError, OcrQueueError) as error:
            injection.not_possible = f"Redis was down by another fault ({type(error).__name__})"

    def redis_killed_after(self, moment: float, until: float = float("inf")) -> bool:
        """Whether Redis was killed too soon after the moment to have on its disk what was written then."""
        return any(
            moment <= injection.injected_at <= min(until, moment + _EVERYSEC_S)
            for injection in self.injections
            if isinstance(injection.fault, RedisKilled) and injection.done
        )

    def storage_away_at(self, moment: float) -> bool:
        """Whether S3 failed then, or shortly before or after."""
        return any(
            injection.injected_at - _AROUND_S <= moment <= (injection.healed_at or float("inf")) + _AROUND_S
            for injection in self.injections
            if injection.fault.part == "s3" and injection.done
        )

    def _choose(self, fault: Fault) -> tuple[str, ...]:
        """The healthy jobs that are going to be hit. Waits a little for one, where it is the one that runs."""
        if not isinstance(fault, OfAJob):
            return ()
        service, deadline = self.into.service(fault.part), time.monotonic() + _WAIT_FOR_A_JOB_S
        running: list[str] = []
        while time.monotonic() < deadline:
            with suppress(redis.exceptions.RedisError):  # down by another fault, but not for long
                running = self.into.running_jobs(service)
            hit = self._healthy(running)
            with self._lock:
                if hit and all(self._hits[job_id] < _MOST_HITS for job_id in running):
                    self._hits.update(hit)
                    return hit
            time.sleep(0.03)
        if running:
            raise NotPossible(f"{fault.part} has no job that may be hit")
        return ()

    def _healthy(self, job_ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(job_id for job_id in job_ids if self.healthy(job_id))
