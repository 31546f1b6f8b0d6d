"""A random schedule of jobs and faults: the same seed gives the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, get_args

from ocrqueue.job import CropMode
from ocrqueue.job.names import Priority
from ocrqueue_worker.engines.null.garbage import Garbage
from tests.faults.broker_faults import (
    ConnectionCut,
    ConnectionHalfOpen,
    ConnectionStalled,
    EnginePaused,
    ProducerCut,
    ProducerStalled,
    RedisFull,
    RedisKilled,
    RedisPaused,
    RingsLost,
    ScriptsForgotten,
)
from tests.faults.faults import Fault
from tests.faults.jobs import FAULTY_KINDS, KINDS, PAGES, Kind, Plan
from tests.faults.process_faults import (
    ChildKilled,
    ClockBehind,
    ClockSkewed,
    DiskFull,
    Drained,
    GroupKilled,
    MainKilled,
    Quit,
    Stopped,
    Terminated,
)
from tests.faults.storage_faults import StorageReset, StorageResetInCrops, StorageStalled, StorageUnavailable

ALL_FAULTS: Final[tuple[type[Fault], ...]] = (
    ChildKilled,
    MainKilled,
    GroupKilled,
    Terminated,
    Quit,
    Drained,
    Stopped,
    DiskFull,
    ClockSkewed,
    ClockBehind,
    RedisKilled,
    RedisPaused,
    RedisFull,
    RingsLost,
    EnginePaused,
    ScriptsForgotten,
    ConnectionCut,
    ConnectionStalled,
    ConnectionHalfOpen,
    ProducerCut,
    ProducerStalled,
    StorageUnavailable,
    StorageStalled,
    StorageReset,
    StorageResetInCrops,
)

_SECONDS: Final[dict[type[Fault], tuple[float, float]]] = {
    Stopped: (6.0, 12.0),
    DiskFull: (2.0, 5.0),
    ClockSkewed: (8.0, 15.0),
    ClockBehind: (8.0, 15.0),
    RedisKilled: (0.5, 5.0),
    RedisPaused: (1.0, 5.0),
    RedisFull: (1.0, 5.0),
    RingsLost: (1.0, 5.0),
    EnginePaused: (1.0, 5.0),
    ConnectionCut: (0.1, 5.0),
    ConnectionStalled: (1.0, 8.0),
    ProducerCut: (0.5, 4.0),
    ProducerStalled: (0.5, 6.0),
    StorageUnavailable: (1.0, 5.0),
    StorageStalled: (1.0, 5.0),
    StorageReset: (1.0, 5.0),
    StorageResetInCrops: (2.0, 4.0),
}
"""From injection to healing, at least and at most; faults that are not named are over at once."""

_LONG_STOP_S: Final = 60.0
_GAP_S: Final = (0.3, 3.0)
"""Between the beginnings of two faults, besides half of how long the first lasts: a third of them overlap."""
_CLOCK_SKEW_S: Final = (0.0, 300.0, -300.0)
_QUICK_SHARE: Final = 0.008
_SLOW_SHARE: Final = 0.004
"""Of the jobs, that are of one faulty kind: one at least is."""
_TESSERACT_SHARE: Final = 0.15
"""Of the healthy ones."""
_CANCELLED_SHARE: Final = 0.05
_REPEATED_SHARE: Final = 0.06


@dataclass(frozen=True, slots=True)
class TimedFault:
    at: float
    """Seconds from the schedule's begin."""
    fault: Fault


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    plans: tuple[Plan, ...]
    """By the time of their submission."""
    faults: tuple[TimedFault, ...]
    """By the time of their injection."""


def make_schedule(
    seed: int,
    jobs: int,
    seconds: float,
    workers: Sequence[str],
    kinds: Sequence[type[Fault]] = ALL_FAULTS,
    *,
    long_stop: bool = False,
) -> Schedule:
    """`jobs` jobs, submitted within `seconds`, and faults of `kinds` all along.

    With `long_stop` one of the workers, in the first half of the time, is stopped for a whole minute.
    """
    random = Random(seed)
    plans = [_plan(random, number, kind, seconds) for number, kind in enumerate(_kinds(random, jobs), 1)]
    faults = _faults(random, seconds, workers, kinds, long_stop=long_stop)
    return Schedule(seed, tuple(sorted(plans, key=lambda plan: plan.at)), tuple(faults))


def _plan(random: Random, number: int, kind: Kind, seconds: float) -> Plan:
    picture = kind.picture or random.choices(list(PAGES), weights=(8, 1, 1))[0]
    at = random.uniform(0.0, seconds)
    cancelled = kind.healthy and random.random() < _CANCELLED_SHARE
    crops: CropMode = random.choices(("objects", "archive", "none"), weights=(6, 3, 1))[0]
    lane: Priority = random.choices(("normal", "high", "low"), weights=(6, 2, 2))[0]
    return Plan(
        id=f"{kind.name}-{number:04d}",
        at=at,
        kind=kind,
        picture=picture,
        # too few are no garbage
        words=random.choice((2, 3, 5) if kind.name == "garbage" else (0, 1, 2, 3, 5, 8, 13)),
        delay_s=random.choices((0.0, 0.1, 0.4, 1.2), weights=(4, 4, 2, 1))[0],
        crops=crops,
        crop_padding=random.choice((0, 2, 7)),
        outputs=random.choices(((), ("pdf", "alto"), ("page", "csv")), weights=(4, 1, 1))[0],
        priority=lane,
        cancel_at=at + random.uniform(0.0, 4.0) if cancelled else None,
        repeats=random.randint(1, 3) if random.random() < _REPEATED_SHARE else 0,
        clock_skew_s=random.choice(_CLOCK_SKEW_S),
        more_options={"garbage": random.choice(get_args(Garbage))} if kind.name == "garbage" else {},
    )


def _kinds(random: Random, jobs: int) -> list[Kind]:
    """Of so many jobs, in a random order."""
    faulty = [
        KINDS[name]
        for name in FAULTY_KINDS
        for _ in range(max(1, round(jobs * (_SLOW_SHARE if KINDS[name].slow else _QUICK_SHARE))))
    ]
    healthy = [KINDS["tesseract" if random.random() < _TESSERACT_SHARE else "read"] for _ in range(jobs)]
    kinds = [*faulty, *healthy][:jobs]
    random.shuffle(kinds)
    return kinds


def _faults(
    random: Random, seconds: float, workers: Sequence[str], kinds: Sequence[type[Fault]], *, long_stop: bool
) -> list[TimedFault]:
    """Every kind before any comes again, in an order of its own each time; no part is hit twice at a time."""
    timed: list[TimedFault] = []
    busy_until: dict[str, float] = {}
    if long_stop:
        part, at = random.choice(workers), random.uniform(0.1, 0.4) * seconds
        timed.append(TimedFault(at, Stopped(part, _LONG_STOP_S)))
    at, left = 2.0, list[type[Fault]]()
    while True:
        left = left or random.sample(kinds, len(kinds))
        kind = left.pop()
        part = _part(random, kind, workers)
        lasts_s = random.uniform(*_SECONDS[kind]) if kind in _SECONDS else 0.0
        at = max(at, busy_until.get(part, 0.0))
        if at + lasts_s > seconds:
            return sorted(timed, key=lambda fault: fault.at)
        if not any(_overlap(other, part, at, lasts_s) for other in timed):
            timed.append(TimedFault(at, kind(part, lasts_s)))
            busy_until[part] = at + lasts_s + 1.0
        at += lasts_s / 2 + random.uniform(*_GAP_S)


def _part(random: Random, kind: type[Fault], workers: Sequence[str]) -> str:
    """The part that the kind hits by its nature, else one of the workers."""
    by_nature = kind().part
    if by_nature != "all":
        return by_nature
    # the last has a Tesseract that needs its scratch
    return workers[-1] if kind is DiskFull else random.choice(workers)


def _overlap(other: TimedFault, part: str, at: float, lasts_s: float) -> bool:
    same = other.fault.part == part
    return same and other.at < at + lasts_s + 1.0 and at < other.at + other.fault.seconds + 1.0
