"""Jobs a second and what a job costs, with the engine null, against bare Celery tasks that do nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, cast

import click
from PIL import Image
from redis import Redis
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from ocrqueue.core import WorkerRegistry
from tests.benchmarks.bare import TIMEOUT_S, bare_app, bare_worker
from tests.benchmarks.scale.used import children_of, process_cpu, redis_cpu
from tests.benchmarks.stage import CORES, Stage, file_stage, jobs_left, system_worker

_NOTHING = "tests.benchmarks.bare_app.nothing"


@dataclass(frozen=True)
class Load:
    """What one run measured. Rates are a second, memory is in bytes of Redis a job.

    Times are in ms of a processor a job.
    """

    submitted: float
    completed: float
    memory_waiting: float
    memory_ended: float
    main_ms: float
    """Of the worker's main process."""
    children_ms: float
    redis_ms: float
    """Of the thread that runs all commands, while the worker works."""


@dataclass(frozen=True)
class Contestant:
    left: Callable[[], int]
    """Jobs that wait or run."""
    submit: Callable[[], object]
    worker: Callable[[], AbstractContextManager[int]]
    """Yields the pid of its main process."""
    check: Callable[[], None] = lambda: None
    """Raises unless all succeeded."""
    found: Callable[[], None] = lambda: None
    """Makes an empty Redis one that a worker has been at before."""


@click.command()
@click.option("--jobs", "count", type=click.IntRange(2000), default=10_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--children",
    type=click.IntRange(1),
    default=CORES + 1,
    show_default=True,
    help="Of every contestant's worker: one more than cores, since children wait for their disk.",
)
def jobs(count: int, rounds: int, children: int) -> None:
    """Jobs a second, and processor time and Redis memory a job, without any OCR."""
    picture = BytesIO()
    Image.new("L", (64, 32), 255).save(picture, "PNG")
    loads: dict[str, list[Load]] = {}
    with file_stage() as stage, OcrQueue(stage.settings) as queue, stage.redis.client() as redis:
        uri = queue.storage.put("inputs/picture.png", picture.getvalue(), "image/png")
        contestants = {
            "ocrqueue, engine null": _system(queue, stage, [uri] * count, children),
            "bare Celery, no results": _bare(stage, redis, count, children, results=False),
            "bare Celery, results in Redis": _bare(stage, redis, count, children, results=True),
        }
        for _ in range(rounds):
            for name, contestant in contestants.items():
                loads.setdefault(name, []).append(_load(contestant, redis, count))
                print(f"{name}: {loads[name][-1]}", flush=True)
    _print(loads, count, children)


def _system(queue: OcrQueue, stage: Stage, images: list[str], children: int) -> Contestant:
    submitted: list[Any] = []

    def submit() -> None:
        submitted[:] = queue.submit_many(images, engine="null", crops="none")

    def check() -> None:
        for job, status in queue.watch(submitted, timeout=TIMEOUT_S):
            if status.state != "succeeded":
                raise RuntimeError(f"job {job.id}: {status.state}: {status.error}")
        queue.storage.delete_prefix("results")

    def found() -> None:
        # a worker's first connection; else attempts would look in storage for what an earlier life may have stored
        with closing(WorkerRegistry(stage.settings)) as registry:
            registry.in_hand()

    return Contestant(
        lambda: jobs_left(queue),
        submit,
        partial(system_worker, stage, "null", children),
        check,
        found,
    )


def _bare(stage: Stage, redis: Redis, count: int, children: int, *, results: bool) -> Contestant:
    app = bare_app(stage.redis, 0, results)

    def submit() -> None:
        for _ in range(count):
            app.send_task(_NOTHING)

    def left() -> int:
        return sum(cast("Iterable[int]", redis.pipeline().llen("celery").hlen("unacked").execute()))

    return Contestant(left, submit, partial(bare_worker, stage.redis, 0, results, stage.folder, children=children))


def _load(contestant: Contestant, redis: Redis, count: int) -> Load:
    """Submit all with no worker up, then start one and time it from its first job on."""
    redis.flushall()
    contestant.found()
    empty = _memory(redis)
    begin = time.perf_counter()
    contestant.submit()
    submitted = count / (time.perf_counter() - begin)
    waiting = _memory(redis)

    left = contestant.left
    if left() != count:
        raise RuntimeError(f"{left()} jobs wait, not {count}")
    with contestant.worker() as pid:
        first, started, before = left(), time.perf_counter(), _used_s(pid, redis)
        while left() > 0:
            if time.perf_counter() - started > TIMEOUT_S:
                raise RuntimeError(f"{left()} jobs are left after {TIMEOUT_S} s")
            time.sleep(0.05)
        completed = first / (time.perf_counter() - started)
        used_ms = [1000 * (now - then) / first for now, then in zip(_used_s(pid, redis), before, strict=True)]
    ended = _memory(redis)
    contestant.check()
    return Load(submitted, completed, (waiting - empty) / count, (ended - empty) / count, *used_ms)


def _used_s(pid: int, redis: Redis) -> tuple[float, float, float]:
    """Processor seconds of the main process, of its children, and of Redis."""
    return process_cpu(pid), sum(map(process_cpu, children_of(pid))), redis_cpu(redis)


def _memory(redis: Redis) -> int:
    return int(cast("dict[str, Any]", redis.info("memory"))["used_memory"])


def _print(loads: dict[str, list[Load]], count: int, children: int) -> None:
    title = f"{count} jobs, {children} at a time"
    columns = ("submitted/s", "completed/s", "bytes a job waiting", "ended", "ms a job: main", "children", "Redis")
    table = Table("", *columns, title=title)
    for name, runs in loads.items():
        for run in runs:
            rates = (f"{run.submitted:.0f}", f"{run.completed:.0f}")
            times = (f"{each:.2f}" for each in (run.main_ms, run.children_ms, run.redis_ms))
            table.add_row(name, *rates, f"{run.memory_waiting:.0f}", f"{run.memory_ended:.0f}", *times)
    Console(width=140).print(table)
