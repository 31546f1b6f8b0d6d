"""`ocrqueue reconcile`: look for lost jobs once, or again and again."""

from __future__ import annotations

import signal
import time
from types import FrameType

import click

from ocrqueue.cli.output import json_option, print_json, say, say_error
from ocrqueue.client import OcrQueue
from ocrqueue.core.reconciler import Reconciler, Reconciliation
from ocrqueue.errors import OcrQueueError


@click.command()
@click.option("--loop", is_flag=True, help="Go on until SIGTERM or Ctrl-C.")
@json_option
def reconcile(loop: bool, as_json: bool) -> None:
    """Find lost jobs and queue them again.

    Every worker does so too, in turn with the others: this is for the time when no worker is up, and it also closes
    jobs whose result is in storage. Several at once do no harm. With --json, one object a round: ids.
    """
    with OcrQueue() as queue:
        pause_s = queue.settings.reconcile_interval_s
        reconciler = Reconciler(queue.registry, queue.storage, turn_every_s=pause_s)
        if not loop:
            _report(reconciler.run(), as_json, always=True)
            return
        signal.signal(signal.SIGTERM, _interrupt)
        while True:
            try:
                _report(reconciler.run_in_turn(), as_json, always=False)
            except OcrQueueError as error:
                if not error.retryable:
                    raise
                say_error(error.info)
            time.sleep(pause_s)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _report(found: Reconciliation, as_json: bool, *, always: bool) -> None:
    named = {"closed": found.closed, "requeued": found.requeued, "republished": found.republished}
    if not always and not any(named.values()):
        return
    if as_json:
        print_json(named)
        return
    for what, ids in named.items():
        for job_id in ids:
            click.echo(f"{job_id}  {what}")
    if not any(named.values()):
        say("no job is lost")
