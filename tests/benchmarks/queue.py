"""The core alone, with very many jobs waiting: memory, rates, and how long its moves take at the client."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import click
from rich.console import Console
from rich.table import Table

from ocrqueue.core import Outcome, WorkerRegistry, queues
from ocrqueue.job import Job
from ocrqueue.monitoring.snapshot import read_installation
from ocrqueue.settings import load_worker_settings
from tests.support.processes import redis_server

_BLOCKS = 10
_MOVES = 2000
_LANES = [("ocr.null.high", 1), ("ocr.null", 1), ("ocr.null.low", 1)]


@click.command()
@click.option("--jobs", "count", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--tenants", type=click.IntRange(1), default=10, show_default=True)
def queue(count: int, tenants: int) -> None:
    """Submit very many jobs with no worker up, then time TAKE, BEGIN, FINISH, RECLAIM, and what people look at."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        registry = WorkerRegistry(
            load_worker_settings(redis_url=server.url, storage=f"file://{folder}", max_queue_length=0)
        )
        empty = _memory(registry)
        rates = list(_submit(registry, count, tenants))
        waiting = _memory(registry)
        table = Table("", "median", "p99", "most", title=f"{count:,} jobs of {tenants} tenants wait")
        for name, seconds in _moves(registry, min(_MOVES, count // 2)).items():
            table.add_row(name, *(f"{1000 * each:.2f} ms" for each in _quantiles(seconds)))
        for name, look in {"queues": queues, "top": read_installation}.items():
            table.add_row(name, *(f"{1000 * each:.0f} ms" for each in _quantiles(_timed(look, registry, 5))))
        console = Console(width=140)
        console.print(f"bytes of Redis a waiting job: {(waiting - empty) / count:.0f}")
        console.print(f"submitted a second, by tenths: {', '.join(f'{rate:.0f}' for rate in rates)}")
        console.print(table)
        registry.close()


def _submit(registry: WorkerRegistry, count: int, tenants: int) -> Iterator[float]:
    """Jobs a second, of each tenth."""
    for block in range(_BLOCKS):
        jobs = [
            Job(image="s3://bucket/scans/0001.png", engine="null", tenant=f"tenant{number % tenants}")
            for number in range(count // _BLOCKS)
        ]
        begin = time.perf_counter()
        for _ in registry.submit(jobs):
            pass
        yield len(jobs) / (time.perf_counter() - begin)
        print(f"{block + 1} tenths wait", flush=True)


def _moves(registry: WorkerRegistry, count: int) -> dict[str, list[float]]:
    """Seconds of each call, of so many jobs. Jobs are to wait after it, too."""
    job = Job(image="s3://bucket/scans/0001.png", engine="null")
    taken: dict[str, list[float]] = {"TAKE": [], "BEGIN": [], "FINISH": [], "RECLAIM": []}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        answer = call()
        taken[name].append(time.perf_counter() - begin)
        return answer

    for _ in range(count):
        (part,) = timed("TAKE", lambda: registry.take(uuid4().hex, "holder", _LANES)).parts
        hold = part.hold
        timed("BEGIN", lambda hold=hold: registry.begin(hold, "worker", "null"))
        outcome = Outcome(job_id=hold.job_id, state="succeeded", result="s3://bucket/result.json", pages=1, words=20)
        timed("FINISH", lambda hold=hold, outcome=outcome: registry.finish(hold, job, outcome))
        timed("RECLAIM", registry.reclaim)
    return taken


def _timed(look: Callable[[WorkerRegistry], object], registry: WorkerRegistry, times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        look(registry)
        seconds.append(time.perf_counter() - begin)
    return seconds


def _quantiles(seconds: list[float]) -> tuple[float, float, float]:
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[int(0.99 * (len(ordered) - 1))], ordered[-1]


def _memory(registry: WorkerRegistry) -> int:
    return int(cast("dict[str, Any]", registry.client.info("memory"))["used_memory"])
