"""Celery's worker, as this app has it."""

from __future__ import annotations

import sys
from typing import Any

import click
from celery.apps.worker import Worker

from ocrqueue.errors import SettingsInvalid
from ocrqueue.job import is_lane
from ocrqueue_worker.lifecycle.shutdown_signals import ShutdownSignals


class CeleryWorker(Worker):  # type: ignore[misc]  # celery has no types
    """For every pool, and for plain `celery` too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # workers tell each other nothing by Celery: the core knows who is there, and an idle worker asks Redis little
        options.update(without_gossip=True, without_mingle=True, without_heartbeat=True)
        super().__init__(*arguments, **options)

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
