"""`ocrqueue local`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType

import click

from ocrqueue.cli.output import json_option, print_json, say
from ocrqueue.errors import LocalSystemFailed
from ocrqueue.local import LocalSystem, has_gateway
from ocrqueue.local.child_process import log_tail

_CHECK_S = 0.5
_TAIL_LINES = 15


@click.command()
@click.option(
    "--engine",
    "-e",
    "engines",
    multiple=True,
    default=("tesseract",),
    show_default=True,
    help="Engine to start a worker for. Repeatable.",
)
@click.option(
    "--concurrency", "-c", type=click.IntRange(1, 256), help="Jobs at a time, for each engine.  [default: one a core]"
)
@click.option(
    "--data",
    "-d",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("ocrqueue-data"),
    show_default=True,
    help="Folder for queue, results and logs. If you use it again, the system goes on where it ended.",
)
@click.option("--http/--no-http", default=None, help="Serve HTTP, to this machine only.  [default: if it is installed]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port for HTTP; 0: any.  [default: 8787, or the next that is free]"
)
@json_option
def local(
    engines: tuple[str, ...], concurrency: int | None, data: Path, http: bool | None, port: int | None, as_json: bool
) -> None:
    """Run the whole system on this machine.

    Starts a private redis-server, a worker for each engine, storage in the data folder, and, if ocrqueue-gateway is
    installed, HTTP. Prints the variables that other programs need, and writes them to `env` in that folder. Ctrl-C or
    SIGTERM ends everything: running jobs are finished, and the rest stays queued in the folder. A worker that is
    drained ends alone. When the last one has ended, everything ends.

    With --json, one object when everything is ready: variables, url (null without HTTP), data, workers (engine ->
    process id).
    """
    if http is None:
        http = has_gateway()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    say(f"starting redis-server and {_plural(len(set(engines)), 'worker')} ...")
    try:
        with LocalSystem(data, engines, concurrency, http=http, port=port) as system:
            _keep_up(system, data, as_json)
        say("ended")
    except LocalSystemFailed as error:
        for line in log_tail(Path(str(error.info.details.get("log", ""))), _TAIL_LINES):
            say(line, indent=2)
        raise


def _keep_up(system: LocalSystem, data: Path, as_json: bool) -> None:
    """Until it is interrupted, or all workers were drained. Raises LocalSystemFailed if a process ends before."""
    told = 0
    try:
        _announce(system, data, as_json)
        while system.workers:
            system.check()
            for engine in system.drained[told:]:
                say(f"the {engine} worker has ended, as it was told to")
            told = len(system.drained)
            if system.workers:
                time.sleep(_CHECK_S)
        say("ending: no worker is left")
    except KeyboardInterrupt:
        grace = system.settings.shutdown_grace_s
        say(f"ending: running jobs have {grace} s; Ctrl-C again ends at once")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _announce(system: LocalSystem, data: Path, as_json: bool) -> None:
    if as_json:
        workers = {engine: child.pid for engine, child in system.workers.items()}
        print_json({"variables": system.variables, "url": system.url, "data": str(system.data), "workers": workers})
    else:
        say(f"ready: {', '.join(system.engines)}; logs are in {data / 'logs'}; Ctrl-C ends it all")
        if system.url is not None:
            say(f"HTTP, and pages for a browser: {system.url}")
        say(f"in another terminal: . {data / 'env'}; ocrqueue submit --format text FILE")
        say(f"{data / 'env'} sets:")
        for line in system.exports():
            click.echo(line)
    sys.stdout.flush()


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
