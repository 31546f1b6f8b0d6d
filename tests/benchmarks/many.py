"""Very many jobs of ten tags and three tenants: memory, pages of lists, and actions on half of them beside a load."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.core.job_filter import Wanted
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.many_jobs import (
    HALF,
    Interrupted,
    ManyJobs,
    filters,
    is_meant,
    killed_and_repeated,
    listed,
    load,
    timed,
)
from tests.support.processes import redis_server

_LOOKS = 5
_SHOWN = 12
_SLOW_US = 1000


@click.command()
@click.option("--jobs", "count", type=click.IntRange(1000), default=100_000, show_default=True)
def many(count: int) -> None:
    """List, cancel, replay and delete very many jobs with no worker up, beside jobs that are submitted and taken.

    Every filter is compared with a look at each job; each action is killed halfway and given again.
    """
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        (Path(folder) / "storage").mkdir()
        settings = load_worker_settings(redis_url=server.url, storage=f"file://{folder}/storage", max_queue_length=0)
        with OcrQueue(settings) as queue:
            registry, console = WorkerRegistry(settings), Console(width=140)
            jobs, empty = ManyJobs(registry), _memory(registry)
            jobs.submit(count)
            console.print(
                f"bytes of Redis a waiting job with tag and tenant: {(_memory(registry) - empty) / count:.0f}"
            )
            actions = Table(
                "", "jobs", "killed at", "took", "TAKE median", "p99", "most", "slowest script", title="beside a load"
            )
            _beside_load(actions, settings, registry, "nothing", _nothing)

            def halved(name: str, *arguments: str) -> None:
                def act() -> Interrupted:
                    return killed_and_repeated(registry, settings, count // 4, *arguments)

                _beside_load(actions, settings, registry, name, act)

            halved("cancel", "cancel", "--tenant", HALF)
            _expect(jobs.states(jobs.half), {"cancelled": len(jobs.half)})
            jobs.fail_others()
            jobs.submit_beside(count // 100)
            beside = jobs.states(jobs.beside)
            console.print(_pages(jobs, queue))
            halved("replay", "dead", "replay", "--all")
            _expect(jobs.states(jobs.others), {"queued": len(jobs.others)})
            halved("delete", "delete", "--tenant", HALF)
            _expect(jobs.states(jobs.half), {"none": len(jobs.half)})
            _expect(jobs.states(jobs.beside), beside)
            _expect(check(registry), [])
            console.print(actions)
            registry.close()


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise click.ClickException(f"expected {expected}, found {found}")


def _pages(jobs: ManyJobs, queue: OcrQueue) -> Table:
    """Of the slowest lists."""
    statuses = jobs.statuses()
    asked = filters(statuses)
    known = {each.id for each in statuses}
    for wanted in asked:
        # the load has jobs of its own
        found = [job_id for job_id in listed(queue, wanted) if job_id in known]
        _expect(
            (len(found), set(found) == {each.id for each in statuses if is_meant(each, wanted)}),
            (len(set(found)), True),
        )
    taken = {_named(wanted): sorted(timed(lambda w=wanted: queue.jobs(**w)) for _ in range(_LOOKS)) for wanted in asked}  # type: ignore[misc]  # mypy takes the default for an argument
    slowest = sorted(taken, key=lambda wanted: taken[wanted][_LOOKS // 2], reverse=True)[:_SHOWN]
    title = f"{len(asked)} lists of {len(statuses):,} jobs are right; the first page of the slowest"
    table = Table("", "median", "most", title=title)
    for name in slowest:
        table.add_row(name, f"{1000 * taken[name][_LOOKS // 2]:.0f} ms", f"{1000 * taken[name][-1]:.0f} ms")
    return table


def _named(wanted: Wanted) -> str:
    return ", ".join(f"{name} {'half ago' if name == 'since' else value}" for name, value in wanted.items()) or "all"


def _beside_load(
    table: Table, settings: WorkerSettings, registry: WorkerRegistry, name: str, act: Callable[[], Interrupted]
) -> None:
    client = registry.client
    client.config_set("slowlog-log-slower-than", _SLOW_US)
    client.slowlog_reset()
    began = time.perf_counter()
    with load(settings) as seconds:
        came_to = act()
    took = time.perf_counter() - began
    slow = [entry["duration"] for entry in client.slowlog_get(1000) if b"EVALSHA" in entry["command"][:8]]
    table.add_row(
        name,
        f"{came_to.jobs:,}",
        f"{came_to.by_then:,}",
        f"{took:.1f} s",
        *(f"{1000 * seconds[int(len(seconds) * at)]:.2f} ms" for at in (0.5, 0.99)),
        f"{1000 * seconds[-1]:.1f} ms of {len(seconds)}",
        f"{max(slow, default=0) / 1000:.1f} ms",
    )


def _nothing() -> Interrupted:
    time.sleep(5)
    return Interrupted(0, 0)


def _memory(registry: WorkerRegistry) -> int:
    return int(cast("dict[str, Any]", registry.client.info("memory"))["used_memory"])
