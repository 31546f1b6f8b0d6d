"""What the workers' logs say of each job: which attempts began, and which ended in order."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.installation import Installation

_RETURNED: Final = {"job failed for now", "part goes back to its lane", "parts go back to their lanes"}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line about one job."""

    worker: str
    attempt: int
    """The attempt that the worker had begun last when it wrote this; 0 before any."""
    event: str
    text: str

    @property
    def started(self) -> bool:
        return self.event == "job started"

    @property
    def returned(self) -> bool:
        """Whether the attempt ended in order, with the job back in the queue."""
        return self.event in _RETURNED


def lines_of_jobs(into: Installation) -> dict[str, list[LogLine]]:
    """By job id, in the order of their attempts; those of one attempt in the order in which they were written."""
    found: dict[str, list[LogLine]] = defaultdict(list)
    for service in into.services:
        for log in service.log_files:
            attempts: dict[str, int] = {}
            for line in log.read_text(errors="replace").splitlines():
                for job_id, said in _about(line):
                    if said["event"] == "job started":
                        attempts[job_id] = said["attempt"]
                    found[job_id].append(LogLine(log.stem, attempts.get(job_id, 0), said["event"], line))
    return {job_id: sorted(lines, key=lambda line: line.attempt) for job_id, lines in found.items()}


def starts_since_return(lines: list[LogLine]) -> int:
    """Attempts that began after the last one that ended in order."""
    returned = max((line.attempt for line in lines if line.returned), default=0)
    return len({line.attempt for line in lines if line.started and line.attempt > returned})


def _about(line: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        said = json.loads(line)
    except ValueError:
        return
    if isinstance(said, dict) and "event" in said:
        for job_id in [said["job_id"]] if "job_id" in said else said.get("parts", []):
            yield job_id, said
