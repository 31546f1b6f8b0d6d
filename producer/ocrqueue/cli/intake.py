"""`ocrqueue intake`: jobs that apps sent by name to RabbitMQ become jobs of the queue."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from types import FrameType
from typing import Final

import click

from ocrqueue.cli.output import json_option, print_json, say
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.amqp_intake import AmqpIntake
from ocrqueue.routing import Router, read_engines
from ocrqueue.settings import load_client_settings

_EVERY_S: Final = 10.0


@click.command()
@click.argument("url", metavar="[URL]", default="")
@click.option("--queue", "queues", multiple=True, help="Take only from this queue. Repeatable.")
@click.option("--once", is_flag=True, help="End when the queues are empty.")
@json_option
def intake(url: str, queues: tuple[str, ...], once: bool, as_json: bool) -> None:
    """Take in jobs that were sent by name to RabbitMQ.

    URL is amqp://user:password@host:5672/vhost, or amqps:// for TLS. Without it, the command uses OCRQUEUE_INTAKE_URL,
    which keeps the password out of the list of processes. It takes messages of Celery's send_task from the queues
    ocr.ENGINE, ocr.ENGINE.high and ocr.ENGINE.low, and acknowledges each when it has become a job. It goes on until
    SIGTERM or Ctrl-C, through outages of either side. Any number can run beside each other. With --json, one object for
    each report.
    """
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    settings = load_client_settings()
    url = url or settings.intake_url.get_secret_value()
    if not url:
        raise click.UsageError("Give the URL of a RabbitMQ, or set OCRQUEUE_INTAKE_URL.")
    with closing(WorkerRegistry(settings)) as registry:
        router = Router(settings, lambda: read_engines(registry))
        report = _Report(as_json)
        taker = AmqpIntake(url, registry, router.prepare, queues, report.hear)
        if once:
            taker.drain()
        else:
            signal.signal(signal.SIGTERM, _stops(taker))
            try:
                taker.run()
            finally:
                report.tell(taker.became)
            return
        report.tell(taker.became, always=True)


def _stops(taker: AmqpIntake) -> Callable[[int, FrameType | None], None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        taker.stop()

    return stop


class _Report:
    """Says at times what became of how many messages since the last time."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._told: Mapping[str, int] = {}
        self._due_at = time.monotonic() + _EVERY_S

    def hear(self, became: Mapping[str, int]) -> None:
        if time.monotonic() >= self._due_at:
            self.tell(became)

    def tell(self, became: Mapping[str, int], *, always: bool = False) -> None:
        self._due_at = time.monotonic() + _EVERY_S
        more = {what: count - self._told.get(what, 0) for what, count in became.items()}
        more = {what: count for what, count in more.items() if count}
        self._told = dict(became)
        if not more and not always:
            return
        if self._as_json:
            print_json(more)
        elif more:
            for what, count in more.items():
                click.echo(f"{count} messages  {what.replace('_', ' ')}")
        else:
            say("no message waits")
        sys.stdout.flush()
