"""Celery's worker, as this app has it."""

from __future__ import annotations

import sys
from typing import Any

import click
import structlog
from celery import platforms, signals
from celery.apps.worker import Worker

from ocrqueue.errors import SettingsInvalid
from ocrqueue.job import is_lane
from ocrqueue_worker.access.troubles import TROUBLES
from ocrqueue_worker.lifecycle.shutdown_signals import ShutdownSignals

_log = structlog.get_logger(__name__)

# Celery's own names an option of its command, which this program does not have
platforms.ROOT_DISCOURAGED = (
    "The worker runs as root (uid={uid} euid={euid} gid={gid} egid={egid}), and what it reads is untrusted: run it as "
    "a user of its own, such as with `User=` of systemd or `USER` of an image."
)


class CeleryWorker(Worker):  # type: ignore[misc]  # celery has no types
    """For every pool, and for plain `celery` too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # workers tell each other nothing by Celery: the core knows who is there, and an idle worker asks Redis little
        options.update(without_gossip=True, without_mingle=True, without_heartbeat=True)
        super().__init__(*arguments, **options)

    def on_consumer_ready(self, consumer: Any) -> None:
        """Celery would say `ready.` also where the worker's own access is broken."""
        signals.worker_ready.send(sender=consumer)
        if TROUBLES.stop():
            _log.warning("the worker is up, and takes no jobs until its access is as it should be")
        else:
            _log.info("the worker is ready")

    def start(self) -> None:
        """Raises SystemExit where the worker ended by an error: Celery's `worker_main` keeps the status to itself."""
        super().start()
        if self.exitcode:
            sys.exit(self.exitcode)

    def setup_queues(self, include: Any, exclude: Any = None) -> None:
        """Raises SystemExit for a queue that no job can wait in."""
        super().setup_queues(include, exclude)
        unknown = [queue for queue in self.app.amqp.queues.consume_from if not is_lane(queue)]
        if unknown:
            names = "ocr.ENGINE, ocr.ENGINE.high or ocr.ENGINE.low"
            error = SettingsInvalid(f"No engine has a queue {unknown[0]!r}.", remedy=f"Name lanes: {names}.")
            click.echo(f"error: {error}", err=True)
            sys.exit(2)

    def install_platform_tweaks(self, worker: Any) -> None:
        """Also the signals, in the place of Celery's handlers: those shut down in the middle of what they interrupt."""
        signals = ShutdownSignals()
        super().install_platform_tweaks(worker)
        signals.listen()
