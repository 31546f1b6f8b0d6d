"""`ocrqueue queues` and `ocrqueue engines`."""

from __future__ import annotations

from collections import Counter

import click

from ocrqueue.cli.output import json_option, number, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.registry import QueueInfo, WorkerInfo


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """Show what waits, and who takes from it.

    `waiting` counts what no worker has taken yet, `jobs/min` the jobs of the engine that ended lately; `empty in` is
    when the queue should be empty at that rate. With --json, one array.
    """
    with OcrQueue() as queue:
        lanes = queue.queues()
    if as_json:
        print_json([lane.model_dump(mode="json") for lane in lanes])
        return
    print_table(
        ["queue", "waiting>", "workers>", "jobs/min>", "empty in>", "oldest>", "oldest job"],
        (
            [
                lane.name,
                str(lane.waiting),
                str(lane.workers),
                number(lane.jobs_per_minute, 1),
                _duration(lane.empty_in_s) if lane.waiting else "-",
                _duration(lane.oldest_wait_s),
                lane.oldest_job or "-",
            ]
            for lane in lanes
        ),
    )
    for lane in lanes:
        if lane.waiting and not lane.workers:
            say(f"no worker takes from {lane.name}; start one: ocrqueue-worker --engine {lane.engine}")
    _say_full(lanes)


def _say_full(lanes: list[QueueInfo]) -> None:
    waiting = Counter[str]()
    for lane in lanes:
        waiting[lane.engine] += lane.waiting
    for engine, limit in {lane.engine: lane.limit for lane in lanes}.items():
        if limit is not None and waiting[engine] >= limit:
            say(f"{engine} takes no more jobs: {waiting[engine]} wait, and {limit} may (OCRQUEUE_MAX_QUEUE_LENGTH)")


def _duration(seconds: float | None) -> str:
    """In the unit that gives it a short number."""
    if seconds is None:
        return "-"
    if seconds < 2 * 60:
        return f"{seconds:.1f} s"
    if seconds < 2 * 60 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


@click.command()
@json_option
def engines(as_json: bool) -> None:
    """Show the engines and their live workers.

    With --json, one object: engine -> its workers. An engine without workers takes jobs all the same; they wait.
    """
    with OcrQueue() as queue:
        known = queue.engines()
    if as_json:
        print_json({name: [worker.model_dump(mode="json") for worker in workers] for name, workers in known.items()})
        return
    rows = [row for name, workers in known.items() for row in _engine_rows(name, workers)]
    print_table(["engine", "worker", "jobs at a time>", "version", "device", "languages~"], rows)


def _engine_rows(engine: str, workers: list[WorkerInfo]) -> list[list[str]]:
    if not workers:
        return [[engine, "no live worker", "-", "-", "-", "-"]]
    return [
        [
            engine,
            worker.name,
            str(worker.concurrency),
            offer.version,
            offer.device or "-",
            " ".join(offer.languages) or "any",
        ]
        for worker in workers
        for offer in worker.engines
        if offer.name == engine
    ]
