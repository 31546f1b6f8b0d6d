"""`ocrqueue top`: the installation live."""

from __future__ import annotations

import io
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from ocrqueue.cli.durations import Seconds
from ocrqueue.cli.output import console
from ocrqueue.cli.top_frame import frame
from ocrqueue.client import OcrQueue, registry_of
from ocrqueue.document.written_file import write_whole
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.monitoring.snapshot import read_installation
from ocrqueue.settings import ClientSettings
from ocrqueue.settings.redis_url import place_of


@click.command()
@click.option("--interval", type=Seconds(0.2, 3600), default=2.0, show_default=True, help="Seconds between two frames.")
@click.option("--once", is_flag=True, help="Print one frame, and end; the default if the output is not a terminal.")
@click.option(
    "--svg", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Write one frame as a picture, and end."
)
def top(interval: float, once: bool, picture: Path | None) -> None:
    """Watch workers, queues and errors live.

    q or Ctrl-C leaves. The first line counts jobs: `delayed` jobs wait for their next attempt, and `dead` jobs are dead
    letters. `oldest` is how long the job that was submitted first has waited. `wait p50` and `wait p95` are the longest
    waits of half, and of 95 in 100, of the jobs that started in the last 5 minutes. They are within a fifth of the true
    values. `jobs` shows how many jobs a worker has, out of those that it can do at a time.
    """
    target = console()
    with OcrQueue() as queue:
        place = _place(queue.settings)
        if picture is not None:
            _draw(frame(read_installation(registry_of(queue)), place), picture)
            return
        if once or not target.is_terminal:
            target.print(frame(read_installation(registry_of(queue)), place))
            return
        _watch(queue, place, target, interval)


def _draw(shown: RenderableType, picture: Path) -> None:
    """As a terminal of 80 columns shows it."""
    drawn = Console(record=True, file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    drawn.print(shown)
    # a picture that is looked at asks nobody for its letters
    svg = re.sub(r"@font-face \{.*?\}\s*", "", drawn.export_svg(title="ocrqueue top"), flags=re.DOTALL)
    write_whole(picture, svg.encode())


def _watch(queue: OcrQueue, place: str, target: Console, interval: float) -> None:
    shown: RenderableType = Text("reading ...")
    try:
        with _keys() as keyboard, Live(shown, console=target, screen=True, auto_refresh=False) as live:
            while True:
                begun = time.monotonic()
                try:
                    shown = frame(read_installation(registry_of(queue)), place, target.height - 1)
                    live.update(Group(shown), refresh=True)
                except BrokerUnavailable as error:
                    live.update(Group(Text(str(error), "bold red"), shown), refresh=True)
                if _asked_to_leave(keyboard, begun + interval - time.monotonic()):
                    return
    except KeyboardInterrupt:
        return


def _place(settings: ClientSettings) -> str:
    """Where the installation is, without user and password."""
    where = place_of(settings.redis_url.get_secret_value()).removesuffix("/0")
    return f"{where} {settings.key_prefix}".rstrip()


@contextmanager
def _keys() -> Iterator[bool]:
    """Let keys be read as they are pressed, without being shown; False where there is no keyboard."""
    if not sys.stdin.isatty():
        yield False
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _asked_to_leave(keyboard: bool, wait_s: float) -> bool:
    """Whether q is pressed within that time."""
    end = time.monotonic() + max(wait_s, 0.0)
    while (left := end - time.monotonic()) > 0:
        if not keyboard:
            time.sleep(left)
        elif select.select([sys.stdin], [], [], left)[0] and sys.stdin.read(1) in ("q", "Q", ""):
            return True
    return False
