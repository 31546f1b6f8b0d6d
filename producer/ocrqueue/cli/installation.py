"""`ocrqueue queues` and `ocrqueue engines`."""

from __future__ import annotations

import click

from ocrqueue.cli.output import json_option, number, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.registry import QueueInfo, WorkerInfo


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """Show what waits, and who takes from it.

    With --json, one array. `waiting` counts what no worker has taken yet.
    """
    with OcrQueue() as queue:
        lanes = queue.queues()
    if as_json:
        print_json([lane.model_dump(mode="json") for lane in lanes])
        return
    print_table(
        ["queue", "waiting>", "workers>", "oldest>", "oldest job"],
        (
            [lane.name, str(lane.waiting), str(lane.workers), number(lane.oldest_wait_s, 1, " s"), _oldest_job(lane)]
            for lane in lanes
        ),
    )
    for lane in lanes:
        if lane.waiting and not lane.workers:
            say(f"no worker takes from {lane.name}; start one: ocrqueue-worker --engine {lane.engine}")


def _oldest_job(lane: QueueInfo) -> str:
    return str(lane.oldest_job or "-")[:64]


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
    print_table(["engine", "worker", "jobs at a time>", "version", "languages~"], rows)


def _engine_rows(engine: str, workers: list[WorkerInfo]) -> list[list[str]]:
    if not workers:
        return [[engine, "no live worker", "-", "-", "-"]]
    return [
        [engine, worker.name, str(worker.concurrency), offer.version, " ".join(offer.languages) or "any"]
        for worker in workers
        for offer in worker.engines
        if offer.name == engine
    ]
