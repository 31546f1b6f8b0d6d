"""How long it took, after each fault, until what it had hit was at work again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from tests.faults.injector import Injection
from tests.faults.rehearsal import Rehearsal
from tests.faults.watcher import Sight

_FROM = {
    "job": "injection to the end of the job hit",
    "part": "healing to the next job's end there",
    "reconnection": "injection to the second job begun and ended there",
    "submission": "healing to the next submission",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault. Times in seconds."""

    fault: str
    injected: int
    times: tuple[float, ...]
    measured: str
    not_possible: tuple[str, ...] = ()


def recovery_rows(rehearsal: Rehearsal) -> list[Row]:
    """One for each kind of fault, in the order of their first injection, then those of the engine."""
    by_name: dict[str, list[Injection]] = defaultdict(list)
    for injection in sorted(rehearsal.injector.injections, key=lambda injection: injection.injected_at):
        by_name[injection.fault.name].append(injection)
    rows = []
    for name, injections in by_name.items():
        done = [injection for injection in injections if injection.done]
        times = [seconds for injection in done for seconds in _recovery_times(rehearsal, injection)]
        why_not = tuple(sorted({str(injection.not_possible) for injection in injections if not injection.done}))
        rows.append(Row(name, len(done), tuple(times), _FROM[injections[0].fault.measure], why_not))
    return sorted(rows, key=lambda row: row.fault) + list(_engine_rows(rehearsal))


def _recovery_times(rehearsal: Rehearsal, injection: Injection) -> Iterator[float]:
    match injection.fault.measure:
        case "job":
            for job_id in injection.hit:
                end = rehearsal.watcher.first_end(job_id)
                if end is not None and end.finished_at >= injection.injected_at:
                    yield end.finished_at - injection.injected_at
        case "part":
            ends = [end.finished_at for _, end in _ends(rehearsal, injection.fault.part)]
            yield from (at - injection.healed_at for at in _next(ends, injection.healed_at))
        case "reconnection":
            begun = [
                end.finished_at
                for _, end in _ends(rehearsal, injection.fault.part)
                if end.finished_at - _seconds_at_work(end) >= injection.injected_at
            ]
            yield from (at - injection.injected_at for at in sorted(begun)[1:2])
        case "submission":
            submitted = rehearsal.producer.submitted_at
            yield from (at - injection.healed_at for at in _next(submitted, injection.healed_at))


def _seconds_at_work(end: Sight) -> float:
    return float((json.loads(end.outcome).get("timings") or {}).get("total_s", 0.0)) if end.outcome else 0.0


def _next(times: list[float], moment: float) -> list[float]:
    """The first of them that is not before the moment, if there is one."""
    return sorted(time for time in times if time >= moment)[:1]


def _ends(rehearsal: Rehearsal, part: str) -> Iterator[tuple[str, Sight]]:
    """The jobs that ended at a part: at that worker; with crops stored, for S3; any, for Redis."""
    workers = {service.name for service in rehearsal.into.services}
    for job_id, submission in rehearsal.by_id.items():
        end = rehearsal.watcher.first_end(job_id)
        if end is None or not end.worker:
            continue
        if part in workers and rehearsal.into.service_of(end.worker) != part:
            continue
        if part == "s3" and (end.state != "succeeded" or submission.plan.crops == "none"):
            continue
        yield job_id, end


def _engine_rows(rehearsal: Rehearsal) -> Iterator[Row]:
    """From the first start of a job that its engine fails, to its end."""
    times: dict[str, list[float]] = defaultdict(list)
    for job_id, submission in rehearsal.by_id.items():
        kind = submission.plan.kind
        if kind.healthy:
            continue
        end = rehearsal.watcher.first_end(job_id)
        started = next((sight for sight in rehearsal.watcher.sights[job_id] if sight.attempts), None)
        if end is not None and started is not None:
            times[kind.name].append(max(0.0, end.finished_at - started.at))
    for name, seconds in sorted(times.items()):
        yield Row(f"job: {name}", len(seconds), tuple(seconds), "first start seen to its end")


def table(rows: list[Row]) -> str:
    """Plain text, aligned."""
    lines = [("FAULT", "INJECTED", "MEASURED", "MEDIAN s", "WORST s", "FROM")]
    for row in rows:
        middle, worst = (f"{median(row.times):.1f}", f"{max(row.times):.1f}") if row.times else ("-", "-")
        lines.append((row.fault, str(row.injected), str(len(row.times)), middle, worst, row.measured))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if column in {0, 5} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    notes = [f"not injected: {row.fault}: {reason}" for row in rows for reason in row.not_possible]
    return "\n".join([*text, *notes])
