"""`ocrqueue-worker`: start Celery with the pool, queues and limits that an engine wants."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from ocrqueue.errors import OcrQueueError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--engine", "-e", "engines", multiple=True, default=("tesseract",), show_default=True, help="Repeatable.")
@click.option("--concurrency", "-c", type=click.IntRange(1, 256), help="Jobs at a time.  [default: one a core]")
@click.option("--queues", "-Q", help="Queues instead of the engines' three lanes, comma-separated.")
@click.option("--hostname", "-n", help="Node name, such as tesseract1@%h; must be unique.  [default: ENGINE-PID@%h]")
@click.option("--loglevel", "-l", type=click.Choice(["debug", "info", "warning", "error"]))
@click.version_option(package_name="ocrqueue")
def main(
    engines: tuple[str, ...], concurrency: int | None, queues: str | None, hostname: str | None, loglevel: str | None
) -> None:
    """Work for one engine or several, until SIGTERM or Ctrl-C.

    SIGTERM lets running jobs finish for OCRQUEUE_SHUTDOWN_GRACE_S seconds and puts the rest back on the queue.
    Settings: OCRQUEUE_* (docs/settings.md).
    """
    # read by celery when it is imported: SIGTERM then ends in the soft shutdown
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    if loglevel:
        os.environ["OCRQUEUE_LOG_LEVEL"] = loglevel
    try:
        arguments = worker_arguments(engines, concurrency, queues, hostname)
        from ocrqueue_worker.app import app
    except OcrQueueError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except ImportError as error:
        extras = ",".join(engines)
        click.echo(f"error: {error}. On a worker: pip install 'ocrqueue[{extras}]'.", err=True)
        sys.exit(2)
    app.worker_main(arguments)


def worker_arguments(
    engines: tuple[str, ...], concurrency: int | None, queues: str | None, hostname: str | None
) -> list[str]:
    """Arguments of `celery worker`. Raises SettingsInvalid, EngineUnknown, EngineUnavailable."""
    from ocrqueue.job import engine_queues
    from ocrqueue.settings import process_settings
    from ocrqueue_worker.engines.engine import Engine
    from ocrqueue_worker.engines.loading import make_engine

    settings = process_settings()
    made: list[Engine[Any]] = [make_engine(name, settings) for name in engines]
    pools = {engine.pool for engine in made}
    pool = "prefork" if "prefork" in pools else "threads"
    lanes = queues or ",".join(queue for name in engines for queue in engine_queues(name))
    return [
        "--quiet",
        "worker",
        f"--pool={pool}",
        f"--concurrency={concurrency or len(os.sched_getaffinity(0))}",
        f"--queues={lanes}",
        f"--hostname={hostname or f'{engines[0]}-{os.getpid()}@%h'}",
        f"--loglevel={settings.log_level}",
        "--without-gossip",
        "--without-mingle",
    ]
