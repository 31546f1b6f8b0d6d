"""Resident memory of workers' processes through a run."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.processes import Worker

_EVERY_S: Final = 0.2
_MOST_GROWTH: Final = 1.10
"""Of what a process kept in the last quarter over what it kept in the second."""
_LEAST_SAMPLES: Final = 5
"""Of a quarter: fewer say nothing."""


@dataclass(frozen=True, slots=True)
class Quarters:
    """The least resident memory of one process in each quarter of the run, in MiB: what it keeps between two pages.

    While a page is read there is more: one of 20 megapixels takes Tesseract ten seconds and 800 MiB, which go back.
    """

    process: str
    kept: tuple[float, ...]
    samples: tuple[int, ...]

    @property
    def growth(self) -> float:
        """What is kept in the last quarter over the second's; 1 if there are too few samples to tell."""
        if len(self.kept) < 4 or min(self.samples) < _LEAST_SAMPLES:
            return 1.0
        return self.kept[3] / self.kept[1]


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
    whole = max(1, samples[-1][0])
    parts: list[list[float]] = [[], [], [], []]
    for done, mebibytes in samples:
        parts[min(3, 4 * done // whole)].append(mebibytes)
    return Quarters(
        process, tuple(round(min(part), 1) if part else 0.0 for part in parts), tuple(len(part) for part in parts)
    )
