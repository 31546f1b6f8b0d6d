"""`ocrqueue reconcile`: what workers do for all, once or again and again."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from types import FrameType

import click

from ocrqueue.cli.output import json_option, print_json, say, say_error
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.installation import live_workers
from ocrqueue.core.intake import TakenIn, foreign_lists, take_in_foreign
from ocrqueue.core.reclaimer import pause_between_rounds_s, reclaim, reclaim_patiently
from ocrqueue.core.worker_registry import Reclaimed
from ocrqueue.errors import OcrQueueError
from ocrqueue.leftovers import Tidying, tidy
from ocrqueue.routing import Router, read_engines
from ocrqueue.settings import load_client_settings
from ocrqueue.storage import open_storage

_log = logging.getLogger(__name__)


@click.command()
@click.option("--loop", is_flag=True, help="Go on until SIGTERM or Ctrl-C.")
@json_option
def reconcile(loop: bool, as_json: bool) -> None:
    """Queue lost jobs again, and take in messages sent by name.

    Jobs of lost workers go back to their places, and so do jobs whose delay is over. Messages of Celery apps become
    jobs, some hundred a round. Stored files of jobs without a result are removed. The workers also do this, in turn:
    the command is for the time when no worker is up. If nobody was in touch with Redis for a while, workers first have
    OCRQUEUE_LOST_AFTER_S seconds to say which jobs they have. Several can run at once. With --json, one object a round:
    ids, and how many messages ended in which way.
    """
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    settings = load_client_settings()
    with closing(WorkerRegistry(settings)) as registry:
        router, tidying = Router(settings, lambda: read_engines(registry)), Tidying(settings)

        def once() -> bool:
            """Returns whether more came by name than one round takes in."""
            # first: it has nobody's lease to wait for
            taken_in, fault = _take_in(registry, router)
            is_last = not loop and not taken_in.more
            found = reclaim_patiently(registry) if is_last else reclaim(registry)
            _report(found, taken_in.became, as_json, always=is_last)
            if is_last and not as_json and (in_hand := registry.in_hand()):
                lease_s = settings.lost_after_s
                say(f"{in_hand} in workers' hands: what a lost worker has comes back {lease_s:g} s after it last spoke")
            if loop and (found.leftovers or found.deleted):
                tidying.ask()
            if fault is not None:
                raise fault
            return taken_in.more

        if not loop:
            while once():
                pass
            tidy(registry, open_storage(settings))
            return
        signal.signal(signal.SIGTERM, _interrupt)
        while True:
            if not _outlived(once):
                time.sleep(pause_between_rounds_s(settings))


def _take_in(registry: WorkerRegistry, router: Router) -> tuple[TakenIn, Exception | None]:
    """Lost jobs go back to their places whatever others have sent: what goes wrong here is told after that."""
    try:
        lists = foreign_lists(live_workers(registry), registry.settings)
        return take_in_foreign(registry, router.prepare, lists), None
    except Exception as error:
        return TakenIn({}), error


def _outlived(once: Callable[[], bool]) -> bool:
    """One of many rounds: its fault is told, and the next one is due."""
    try:
        return once()
    except OcrQueueError as error:
        say_error(error.info)
    except Exception:
        # let through, it would end this for as long as nobody starts it again
        _log.exception("met an unexpected error")
    return False


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _report(found: Reclaimed, taken_in: Mapping[str, int], as_json: bool, *, always: bool) -> None:
    named = {"requeued": found.requeued, "poison": found.poisonous}
    if not always and not any(named.values()) and not taken_in:
        return
    if as_json:
        print_json({**named, "by_name": taken_in})
        return
    for what, ids in named.items():
        for job_id in ids:
            click.echo(f"{job_id}  {what}")
    for what, count in taken_in.items():
        click.echo(f"{count} messages by name  {what.replace('_', ' ')}")
    if found.leases_granted:
        say(f"workers have {found.grace_s:.0f} s more to say which jobs they have: no lost job is due before")
    elif not any(named.values()) and not taken_in:
        say("no lost job is due")
