"""Workers that are joined by more while the benchmark runs, as machines are added."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

from tests.benchmarks.scale.used import process_cpu
from tests.benchmarks.stage import Stage
from tests.support.processes import Worker, as_environment, worker

_MOST_CHILDREN: Final = 8
"""Of one worker: those of a machine with so many cores."""
_UP_WITHIN_S: Final = 120


class Crew:
    """Workers of the engine null."""

    def __init__(self, stage: Stage, stack: ExitStack) -> None:
        self._stage = stage
        self._stack = stack
        self.workers: list[Worker] = []
        self.processes = 0
        """Pool children: jobs at a time."""

    def grow(self, processes: int) -> None:
        """Start workers until there are so many processes; those that run stay."""
        missing = processes - self.processes
        full, rest = divmod(missing, _MOST_CHILDREN)
        sizes = [_MOST_CHILDREN] * full + [rest] * (rest > 0)
        with ThreadPoolExecutor(len(sizes) or 1) as threads:
            self.workers += threads.map(self._start, sizes)
        self.processes = processes

    def cpu_s(self) -> float:
        """CPU seconds of all its processes, main ones and children, since each was started."""
        pids = [pid for one in self.workers for pid in (one.pid, *one.children())]
        return sum(map(process_cpu, pids))

    def _start(self, size: int) -> Worker:
        values = as_environment(self._stage.settings)
        arguments = ("--engine", "null", "--concurrency", str(size))
        return self._stack.enter_context(worker(values, self._stage.folder, *arguments, up_within_s=_UP_WITHIN_S))


@contextmanager
def crew(stage: Stage) -> Iterator[Crew]:
    """None at first; all are ended at the end."""
    with ExitStack() as stack:
        yield Crew(stage, stack)
