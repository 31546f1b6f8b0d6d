"""`ocrqueue workers`, and `ocrqueue workers drain`."""

from __future__ import annotations

import time
from typing import Final

import click

from ocrqueue.cli.durations import SECONDS
from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.output import duration, json_option, moment, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.core import WorkerInfo
from ocrqueue.errors import BrokerUnavailable

_LOOK_EVERY_S: Final = 0.5


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def workers(context: click.Context, as_json: bool) -> None:
    """Show the live workers, and drain some.

    `jobs` shows how many jobs a worker has, out of those that it can do at a time. With --json, one array.
    """
    if context.invoked_subcommand is not None:
        return
    with OcrQueue() as queue:
        found = queue.workers()
    if as_json:
        print_json([worker.model_dump(mode="json") for worker in found])
        return
    if not found:
        say("no worker is alive")
        return
    print_table(
        ["worker", "state", "jobs>", "memory>", "started", "takes from~"],
        (
            [
                worker.name,
                worker.doing,
                f"{'-' if worker.running is None else worker.running}/{worker.concurrency}",
                "-" if worker.memory_bytes is None else f"{worker.memory_bytes / (1 << 20):.0f} MiB",
                moment(worker.started_at),
                " ".join(worker.queues),
            ]
            for worker in found
        ),
    )


@workers.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--wait",
    "wait_s",
    type=SECONDS,
    metavar="SECONDS",
    help="Wait for their end, at most this long. Exit status 4: some have not ended.",
)
@click.pass_context
def drain(context: click.Context, names: tuple[str, ...], wait_s: float | None) -> None:
    """End workers when their jobs have ended.

    The workers stop taking jobs within OCRQUEUE_WORKER_HEARTBEAT_S seconds. Jobs that have begun go on to their end,
    with all the time that their limits give them. Then the workers end with exit status 0. This works for every worker,
    however it was started.
    """
    with OcrQueue() as queue:
        left = queue.drain(*names)
        if wait_s is None:
            return
        begun = time.monotonic()
        while left and time.monotonic() < begun + wait_s:
            try:
                left = _still_there(queue, left)
            except BrokerUnavailable as outage:
                if not outage.may_pass:
                    raise
            if left:
                time.sleep(min(_LOOK_EVERY_S, max(0.0, begun + wait_s - time.monotonic())))
    if left:
        say(f"after {duration(wait_s)} still there: {', '.join(worker.name for worker in left)}")
        context.exit(ExitStatus.TIMEOUT)


def _still_there(queue: OcrQueue, asked: list[WorkerInfo]) -> list[WorkerInfo]:
    holders = {worker.holder for worker in asked}
    return [worker for worker in queue.workers() if worker.holder in holders]
