"""Resident memory of workers' processes through a run."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Final, Self

from tests.support.processes import Worker

_EVERY_S: Final = 0.2
_MOST_GROWTH: Final = 1.10
"""Of the last quarter's median over the second quarter's."""
_LEAST_SAMPLES: Final = 5
"""Of a quarter: a median of fewer says nothing."""


@dataclass(frozen=True, slots=True)
class Quarters:
    """Median resident memory of one process in each quarter of the run, in MiB."""

    process: str
    medians: tuple[float, ...]
    samples: tuple[int, ...]

    @property
    def growth(self) -> float:
        """The last quarter's median over the second quarter's; 1 if there are too few samples to tell."""
        if len(self.medians) < 4 or min(self.samples) < _LEAST_SAMPLES:
            return 1.0
        return self.medians[3] / self.medians[1]


class MemoryWatch:
    """Samples the main processes and children of `workers`; `progress` says how far the run is."""

    def __init__(self, workers: Sequence[Worker], progress: Callable[[], int]) -> None:
        self._workers = workers
        self._progress = progress
        self._samples: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            for number, worker in enumerate(self._workers, start=1):
                with suppress(OSError):  # a process that has ended is told of by others
                    self._sample(f"worker {number}", worker.pid)
                    for place, child in enumerate(worker.children(), start=1):
                        self._sample(f"worker {number}, child {place}", child)

    def _sample(self, process: str, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text()
        for line in status.splitlines():  # a process that is dead and not yet buried has none
            if line.startswith("VmRSS:"):
                self._samples[process].append((self._progress(), int(line.split()[1]) / 1024))

    def quarters(self) -> tuple[Quarters, ...]:
        """By progress, not by time."""
        return tuple(_quarters(process, samples) for process, samples in sorted(self._samples.items()))

    def problems(self) -> list[str]:
        return [
            f"memory of {found.process}: {found.growth:.2f} times that of the second quarter in the last"
            for found in self.quarters()
            if found.growth > _MOST_GROWTH
        ]


def _quarters(process: str, samples: Sequence[tuple[int, float]]) -> Quarters:
    """Of all samples between two ends of jobs one, the median: a page that is long in reading counts like any other."""
    whole = max(1, samples[-1][0])
    parts: list[list[float]] = [[], [], [], []]
    for done, together in groupby(samples, key=itemgetter(0)):
        parts[min(3, 4 * done // whole)].append(median(mebibytes for _, mebibytes in together))
    return Quarters(
        process, tuple(round(median(part), 1) if part else 0.0 for part in parts), tuple(len(part) for part in parts)
    )
