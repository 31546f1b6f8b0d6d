"""Very many jobs of ten tags and three tenants: memory, pages of lists, and actions on half of them beside a load."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import click
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.job_filter import Wanted
from ocrqueue.errors import LanguageMissing
from ocrqueue.job import Job
from ocrqueue.settings import Settings, load_settings
from tests.support.processes import redis_server

_TAKES = 20
"""Together, by who makes jobs fail."""
_LOOKS = 5


@click.command()
@click.option("--jobs", "count", type=click.IntRange(1000), default=100_000, show_default=True)
def many(count: int) -> None:
    """List, cancel, replay and delete very many jobs with no worker up, beside jobs that are submitted and taken."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        (Path(folder) / "storage").mkdir()
        settings = load_settings(redis_url=server.url, storage=f"file://{folder}/storage", max_queue_length=0)
        with OcrQueue(settings) as queue:
            registry = WorkerRegistry(settings)
            empty = _memory(registry)
            jobs = [_job(number) for number in range(count)]
            for _ in registry.submit(jobs):
                pass
            console = Console(width=140)
            console.print(
                f"bytes of Redis a waiting job with tag and tenant: {(_memory(registry) - empty) / count:.0f}"
            )
            _fail(registry, {job.id: job for job in jobs}, count // 2)
            pages = Table("", "median", "most", title=f"the first page of lists of {count:,} jobs")
            for name, wanted in _FILTERS.items():
                taken = sorted(_timed(lambda w=wanted: queue.jobs(**w)) for _ in range(_LOOKS))  # type: ignore[misc]
                pages.add_row(name, f"{1000 * taken[_LOOKS // 2]:.0f} ms", f"{1000 * taken[-1]:.0f} ms")
            console.print(pages)
            console.print(_actions(settings, queue, registry))
            registry.close()


_FILTERS: dict[str, Wanted] = {
    "all": {},
    "tag": {"tag": "tag3"},
    "tenant": {"tenant": "tenant1"},
    "failed": {"state": "failed"},
    "running": {"state": "running"},
    "tag and tenant": {"tag": "tag3", "tenant": "tenant1"},
    "tag, failed": {"tag": "tag3", "state": "failed"},
    "tag, succeeded (none)": {"tag": "tag3", "state": "succeeded"},
    "tenant, running (none)": {"tenant": "tenant1", "state": "running"},
    "code": {"code": "language.missing"},
    "code (none)": {"code": "image.empty"},
}


def _job(number: int) -> Job:
    return Job(image="s3://bucket/scans/0001.png", engine="null", tag=f"tag{number % 10}", tenant=f"tenant{number % 3}")


def _fail(registry: WorkerRegistry, jobs: dict[str, Job], count: int) -> None:
    failed = 0
    while failed < count:
        for part in registry.take(uuid4().hex, "holder", [("ocr.null", _TAKES)], 1).parts:
            registry.begin(part.hold, "w@h", "null")
            outcome = Outcome(job_id=part.hold.job_id, state="failed", error=LanguageMissing().info)
            registry.finish(part.hold, jobs[part.hold.job_id], outcome)
            failed += 1


def _actions(settings: Settings, queue: OcrQueue, registry: WorkerRegistry) -> Table:
    table = Table("", "jobs", "took", "TAKE median", "p99", "most", "slowest script", title="beside a load")
    actions: dict[str, Callable[[], int]] = {
        "nothing": _nothing,
        "cancel those that wait": lambda: queue.cancel_many(all_jobs=True, state="queued").jobs,
        "replay those that failed": lambda: queue.replay_many(code="language.missing").jobs,
        "delete those": lambda: queue.delete_many(state="queued").jobs,
    }
    for name, act in actions.items():
        client = registry.client
        client.config_set("slowlog-log-slower-than", 1000)
        client.slowlog_reset()
        stop, told = multiprocessing.Event(), multiprocessing.Queue()
        load = multiprocessing.Process(target=_load, args=(settings, stop, told))
        load.start()
        began = time.perf_counter()
        jobs = act()
        took = time.perf_counter() - began
        stop.set()
        seconds = sorted(told.get())
        load.join()
        slow = [entry["duration"] for entry in client.slowlog_get(1000) if b"EVALSHA" in entry["command"][:8]]
        table.add_row(
            name,
            f"{jobs:,}",
            f"{took:.1f} s",
            *(f"{1000 * seconds[int(len(seconds) * at)]:.2f} ms" for at in (0.5, 0.99)),
            f"{1000 * seconds[-1]:.1f} ms of {len(seconds)}",
            f"{max(slow, default=0) / 1000:.1f} ms",
        )
    return table


def _nothing() -> int:
    time.sleep(5)
    return 0


def _load(settings: Settings, stop: Any, told: Any) -> None:
    """Submits and takes jobs of a lane of its own; how long each TAKE took."""
    os.environ["OCRQUEUE_LOAD"] = "1"
    registry, seconds = WorkerRegistry(settings), []
    for number in itertools.count():
        given = Job(image="s3://bucket/load.png", engine="rapid", tag="load")
        list(registry.submit([given]))
        began = time.perf_counter()
        (part,) = registry.take(f"load{number}", "loader", [("ocr.rapid", 1)]).parts
        seconds.append(time.perf_counter() - began)
        registry.begin(part.hold, "w@h", "rapid")
        registry.finish(part.hold, given, Outcome(job_id=given.id, state="succeeded", result="file:///r.json"))
        time.sleep(0.002)
        if stop.is_set():
            break
    told.put(seconds)


def _timed(look: Callable[[], object]) -> float:
    began = time.perf_counter()
    look()
    return time.perf_counter() - began


def _memory(registry: WorkerRegistry) -> int:
    return int(cast("dict[str, Any]", registry.client.info("memory"))["used_memory"])
