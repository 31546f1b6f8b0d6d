"""`ocrqueue-worker`: start Celery with the pool, queues and limits that an engine wants."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from ocrqueue.errors import OcrQueueError, how_to_install
from ocrqueue.settings.unknown import show_warnings_by

if TYPE_CHECKING:
    from ocrqueue.settings import WorkerSettings
    from ocrqueue_worker.engines.engine import Engine


class _Program(click.Group):
    """Starts a worker, unless a subcommand is named; subcommands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["engine", "health", "keras"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "health":
            return health
        if cmd_name == "engine":
            from ocrqueue_worker.cli.engine import engine

            return engine
        if cmd_name != "keras":
            return None
        from ocrqueue_worker.cli.keras import keras

        return keras


@click.command()
@click.option(
    "--ready", is_flag=True, help="Exit status 1 also if the worker takes no jobs, or cannot do those of an engine."
)
def health(ready: bool) -> None:
    """Check by OCRQUEUE_HEALTH_FILE whether the worker on this machine is alive, and show what is wrong with it.

    Exit status 1: the worker gives no sign of life, or not yet. The command does not ask Redis.
    """
    from ocrqueue.settings import process_settings
    from ocrqueue_worker.lifecycle.liveness_check import STOPPED, ailment, troubles

    try:
        file = process_settings().health_file
    except OcrQueueError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    if found := ailment(str(file) if file else None):
        click.echo(f"error: {found}", err=True)
        sys.exit(1)
    told = troubles(str(file))
    click.echo(f"alive\n{told}".rstrip())
    if ready and told.startswith(STOPPED):
        sys.exit(1)


@click.command(
    cls=_Program,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--engine",
    "-e",
    "engines",
    multiple=True,
    default=("tesseract",),
    show_default=True,
    help="Engine to work for. Repeatable.",
)
@click.option(
    "--concurrency",
    "-c",
    type=click.IntRange(1, 256),
    help="Jobs at a time.  [default: one a core that it may use; keras: one a device]",
)
@click.option(
    "--device",
    help="Device of the keras engine: auto, cpu, gpu:0, or gpu:0,gpu:1.  [default: OCRQUEUE_KERAS_DEVICE, or auto]",
)
@click.option("--queues", "-Q", help="Lanes to take from instead of the engines' three, comma-separated.")
@click.option("--hostname", "-n", help="Node name, such as tesseract1@%h; must be unique.  [default: ENGINE-PID@%h]")
@click.option("--loglevel", "-l", type=click.Choice(["debug", "info", "warning", "error"]))
@click.version_option(package_name="ocrqueue")
@click.pass_context
def main(
    ctx: click.Context,
    engines: tuple[str, ...],
    concurrency: int | None,
    device: str | None,
    queues: str | None,
    hostname: str | None,
    loglevel: str | None,
) -> None:
    """Work for one engine or several, until SIGTERM or Ctrl-C.

    Either of them lets running jobs finish for OCRQUEUE_SHUTDOWN_GRACE_S seconds, and puts the rest back on the queue.
    A second one puts the rest back at once. Settings are OCRQUEUE_* variables (docs/settings.md).
    """
    if ctx.invoked_subcommand:
        return
    if device:
        os.environ["OCRQUEUE_KERAS_DEVICE"] = device
    if loglevel:
        os.environ["OCRQUEUE_LOG_LEVEL"] = loglevel
    show_warnings_by(lambda text: click.echo(text, err=True))
    try:
        arguments = worker_arguments(engines, concurrency, queues, hostname)
        from ocrqueue_worker.app import app
    except OcrQueueError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except ImportError as error:
        click.echo(f"error: {error}. On a worker: {how_to_install(engines)}", err=True)
        sys.exit(2)
    app.worker_main(arguments)


def worker_arguments(
    engines: tuple[str, ...], concurrency: int | None, queues: str | None, hostname: str | None
) -> list[str]:
    """Arguments of `celery worker`. Raises SettingsInvalid, EngineUnknown, EngineUnavailable, CalibrationInvalid."""
    from ocrqueue.job import engine_queues
    from ocrqueue.settings import process_settings
    from ocrqueue.tracing import check_tracing
    from ocrqueue_worker.calibration import chosen_table
    from ocrqueue_worker.engines.asking import asking
    from ocrqueue_worker.engines.discovery import make_engine

    settings = process_settings()
    check_tracing(settings)
    chosen_table(settings.calibration)
    made: list[Engine[Any]] = [make_engine(name, settings) for name in engines]
    for engine in made:
        with asking(engine.name, "check()"):
            engine.check()
    pools = {engine.pool for engine in made}
    pool = "prefork" if "prefork" in pools else "threads"
    lanes = queues or ",".join(queue for name in engines for queue in engine_queues(name))
    return [
        "--quiet",
        "worker",
        f"--pool={pool}",
        f"--concurrency={concurrency or _usual_concurrency(made)}",
        f"--max-memory-per-child={_memory_per_child_mib(made, settings) * 1024}",
        f"--queues={lanes}",
        f"--hostname={hostname or f'{engines[0]}-{os.getpid()}@%h'}",
        f"--loglevel={settings.log_level}",
        "--without-gossip",
        "--without-mingle",
    ]


def _usual_concurrency(engines: list[Engine[Any]]) -> int:
    """What suits the engine that needs most of the machine for a job."""
    from ocrqueue_worker.engines.asking import concurrency
    from ocrqueue_worker.limits.cpus import usable_cores

    stated = [number for engine in engines if (number := concurrency(engine)) is not None]
    return min(stated, default=usable_cores())


def _memory_per_child_mib(engines: list[Engine[Any]], settings: WorkerSettings) -> int:
    """What suits the engine that takes most; 0: no limit."""
    setting = settings.max_memory_per_child_mib
    limits = [
        setting.of(engine.name)
        if engine.name in setting.engines or setting.default == 0 or engine.child_memory_mib is None
        else engine.child_memory_mib
        for engine in engines
    ]
    return 0 if 0 in limits else max(limits)
