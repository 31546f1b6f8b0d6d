"""One frame of `ocrqueue top`: an installation at one moment, within the height and width of a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.cells import set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ocrqueue.cli.output import duration, number, one_line
from ocrqueue.cli.waiting import set_aside_text
from ocrqueue.core import QueueInfo, WorkerInfo
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.job.names import LANES
from ocrqueue.monitoring.snapshot import InstallationSnapshot
from ocrqueue.routing import EngineStatus

_ENGINE_COLUMNS: Final = (
    *("engine", "workers>", "high/normal/low>", "oldest>"),
    *("jobs/min>", "pages/min>", "wait p50>", "wait p95>"),
)
_WORKER_COLUMNS: Final = ("worker", "engines", "jobs>", "memory>", "device")
_FIXED_LINES: Final = 6
"""Summary, two headings, the blank lines before each, and one for what is left out."""
_LEAST_WORKERS: Final = 3
_ERRORS_SHOWN: Final = 4
_TROUBLES_SHOWN: Final = 4
_NAME_CELLS: Final = 26


def frame(now: InstallationSnapshot, place: str, height: int | None = None) -> RenderableType:
    """What to print; `place` names the installation. `height` in lines; None: as many as it takes."""
    lanes = _lanes_of(now)
    shown = [engine for engine in now.engines if _has_something(engine, lanes, now)]
    idle = [engine.name for engine in now.engines if engine not in shown]
    errors = _set_aside(now) + _troubles(now) + _errors(now)
    paused = _note("paused: ", [f"{each.kind} {each.name or NO_NAME}" for each in now.pauses])
    other_lines = bool(idle) + len(paused) + len(errors) + bool(errors)
    left = None if height is None else height - _FIXED_LINES - other_lines
    engines_fit = len(shown) if left is None else max(1, min(len(shown), left - min(len(now.workers), _LEAST_WORKERS)))
    workers_fit = len(now.workers) if left is None else max(0, left - engines_fit)
    parts: list[RenderableType] = [_summary(now, place), Text()]
    parts.append(_table(_ENGINE_COLUMNS, [_engine_row(engine, lanes, now) for engine in shown[:engines_fit]]))
    parts += _note("no worker and no job: ", idle)
    parts.append(Text())
    parts.append(_table(_WORKER_COLUMNS, [_worker_row(worker) for worker in now.workers[:workers_fit]]))
    more = [
        *([f"{len(shown) - engines_fit} more engines"] if engines_fit < len(shown) else []),
        *([f"{len(now.workers) - workers_fit} more workers"] if workers_fit < len(now.workers) else []),
    ]
    parts += _note("and ", more)
    parts += paused
    parts += [Text(), *errors] if errors else []
    return Group(*parts)


def _summary(now: InstallationSnapshot, place: str) -> Text:
    waiting = sum(lane.waiting for lane in now.lanes)
    text = Text(no_wrap=True, overflow="ellipsis")
    workers = f"{len(now.workers)} worker{'' if len(now.workers) == 1 else 's'}"
    text.append(f"{workers}  {waiting} waiting  {now.running} running  {now.delayed} delayed", "bold")
    text.append(f"  {now.dead} dead", "bold red" if now.dead else "bold")
    text.append(f"  {one_line(place)}", "dim")
    return text


def _note(before: str, names: Sequence[str]) -> list[Text]:
    return [Text(before + ", ".join(names), style="dim", no_wrap=True, overflow="ellipsis")] if names else []


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", expand=False)
    for name in columns:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


def _lanes_of(now: InstallationSnapshot) -> dict[str, list[QueueInfo]]:
    lanes: dict[str, list[QueueInfo]] = {}
    for lane in now.lanes:
        lanes.setdefault(lane.engine, []).append(lane)
    return lanes


def _has_something(engine: EngineStatus, lanes: dict[str, list[QueueInfo]], now: InstallationSnapshot) -> bool:
    waits = any(lane.waiting or lane.paused for lane in lanes.get(engine.name, ()))
    return bool(engine.workers or waits or engine.paused or engine.jobs_per_minute or now.recent[engine.name].errors)


def _engine_row(engine: EngineStatus, lanes: dict[str, list[QueueInfo]], now: InstallationSnapshot) -> list[str | Text]:
    own, recent = lanes.get(engine.name, []), now.recent[engine.name]
    ages = [lane.oldest_wait_s for lane in own if lane.waiting and lane.oldest_wait_s is not None]
    waiting = "/".join(_short(engine.waiting.get(lane, 0)) for lane in LANES)
    unattended = not engine.workers and any(engine.waiting.values())
    return [
        Text.assemble(engine.name, (" paused", "bold yellow")) if engine.paused else engine.name,
        str(len(engine.workers)),
        Text(waiting, "bold red" if unattended else ""),
        duration(max(ages, default=None)),
        number(engine.jobs_per_minute, 1),
        number(engine.pages_per_minute, 1),
        duration(recent.wait_p50_s),
        duration(recent.wait_p95_s),
    ]


def _worker_row(worker: WorkerInfo) -> list[str | Text]:
    devices = {engine.device for engine in worker.engines if engine.device}
    engines = ",".join(engine.name for engine in worker.engines)
    return [
        Text.assemble(_cut(worker.name), (" draining", "bold yellow")) if worker.draining else _cut(worker.name),
        _cut(engines),
        f"{'-' if worker.running is None else worker.running}/{worker.concurrency}",
        "-" if worker.memory_bytes is None else f"{worker.memory_bytes / (1 << 20):.0f} MiB",
        _cut(",".join(sorted(devices)) or "-"),
    ]


def _set_aside(now: InstallationSnapshot) -> list[Text]:
    count = sum(lane.set_aside for lane in now.lanes)
    text = f"{set_aside_text(count)}: see ocrqueue check"
    return [Text(text, "red", no_wrap=True, overflow="ellipsis")] if count else []


def _troubles(now: InstallationSnapshot) -> list[Text]:
    """What is wrong with workers, in a line each, under a heading."""
    told = [(worker, trouble) for worker in now.workers for trouble in worker.troubles]
    if not told:
        return []
    lines = [Text("something is wrong with workers", "bold")]
    for worker, trouble in told[:_TROUBLES_SHOWN]:
        text = f"{_cut(worker.name)}  {one_line(str(trouble))}"
        lines.append(Text(text, "red" if trouble.stops else "", no_wrap=True, overflow="ellipsis"))
    if (rest := len(told) - _TROUBLES_SHOWN) > 0:
        lines.append(Text(f"        and {rest} more", "dim"))
    return lines


def _errors(now: InstallationSnapshot) -> list[Text]:
    """The commonest errors of all engines, in a line each, under a heading."""
    failed = Counter(
        {(engine, code): jobs for engine, each in now.recent.items() for code, jobs in each.errors.items()}
    )
    if not failed:
        return []
    lines = [Text("failed in the last 5 minutes", "bold")]
    for (engine, code), jobs in failed.most_common(_ERRORS_SHOWN):
        lines.append(Text(f"{jobs:>6}  {one_line(code)}  {engine}", no_wrap=True, overflow="ellipsis"))
    if (rest := len(failed) - _ERRORS_SHOWN) > 0:
        lines.append(Text(f"        and {rest} more kinds", "dim"))
    return lines


def _cut(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= _NAME_CELLS else set_cell_size(shown, _NAME_CELLS - 3).rstrip() + "..."


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"
