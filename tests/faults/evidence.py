"""What is kept where a promise was broken: the histories of the jobs, and what the workers said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.faults.checks import Broken
from tests.faults.installation import Installation
from tests.faults.rehearsal import Rehearsal
from tests.faults.worker_logs import lines_of_jobs

_TAIL_LINES: Final = 2000


def keep_logs(into: Installation, folder: Path) -> None:
    """The end of each worker's log, and Redis's."""
    folder.mkdir(parents=True, exist_ok=True)
    logs = [log for service in into.services for log in service.log_files]
    for log in [*logs, into.folder / "redis" / "redis.log"]:
        lines = log.read_text(errors="replace").splitlines(keepends=True)
        (folder / log.name).write_text("".join(lines[-_TAIL_LINES:]))


def keep_histories(rehearsal: Rehearsal, broken: Sequence[Broken], file: Path) -> None:
    """All that was seen of the jobs that a promise was broken to, and every fault with its times."""
    lines = ["# faults, seconds since 1970: injected, healed, what, jobs hit"]
    for injection in rehearsal.injector.injections:
        times = f"{injection.injected_at:.3f} {injection.healed_at:.3f}"
        lines.append(f"{times} {injection.fault} {' '.join(injection.hit)} {injection.not_possible or ''}".rstrip())
    logged = lines_of_jobs(rehearsal.into)
    for job_id in dict.fromkeys(each.job_id for each in broken if each.job_id is not None):
        lines += ["", f"# {job_id}", *[f"{each.promise}: {each.what}" for each in broken if each.job_id == job_id]]
        lines += rehearsal.watcher.history(job_id)
        lines += [f"log    {line.worker} {line.text}" for line in logged.get(job_id, [])]
    file.write_text("\n".join(lines) + "\n")
