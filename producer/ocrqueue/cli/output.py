"""Writing for people (tables, one-line errors) and for scripts (JSON), whatever the terminal can show."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

import click
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from ocrqueue.document.formats.sanitise import inline_text
from ocrqueue.errors import ErrorInfo

_STEERING: Final = re.compile(
    "[\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\U000e0000-\\U000e007f]"
)
"""What turns text around or is not seen: a tag is to look like what it is. Joiners, which scripts need, stay."""
_PIPED_WIDTH: Final = 10_000
_NARROWEST: Final = 12
_GAP: Final = 2
_JSON: Final = "ocrqueue.cli.json"

STATE_STYLES: Final = {
    "queued": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "partial": "magenta",
    "failed": "bold red",
    "cancelled": "dim",
    "unknown": "bold red",
}


def one_line(text: str) -> str:
    """For a terminal: nothing in it breaks the line, steers the terminal or turns other text around."""
    return _STEERING.sub("\ufffd", inline_text(text))


def prepare_streams() -> None:
    """Let nothing that is printed or read fail for its characters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").replace("-", "").lower() == "utf8"


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; a pipe gets lines that are not cut."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _PIPED_WIDTH, highlight=False, emoji=False)


def say(text: str, indent: int = 0) -> None:
    """A line for people, on stderr: stdout is for what was asked."""
    click.echo(" " * indent + one_line(text), err=True)


def say_error(info: ErrorInfo, subject: str = "") -> None:
    """`error: <code>: <message> <remedy>`, on one line of stderr."""
    about = f"{subject}: " if subject else ""
    say(f"error: {about}{info.code}: {info.message} {info.remedy}".rstrip())


def json_option(command: Any) -> Any:
    """Adds --json; an error that ends the command is then also printed as JSON."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, for scripts.", callback=_remember_json, is_eager=True
    )(command)


def _remember_json(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.find_root().meta[_JSON] = value
    return value


def json_asked(context: click.Context) -> bool:
    return bool(context.find_root().meta.get(_JSON))


def print_json(value: object) -> None:
    """One JSON value on one line; ASCII only where stdout is not UTF-8, so that nothing is lost."""
    click.echo(json.dumps(value, ensure_ascii=not is_utf8(sys.stdout), separators=(",", ":"), default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Columns whose name ends in `>` are flushed right; those that end in `~` are cut to fit a narrow terminal.

    What does not fit even then goes beyond the right edge, rather than into cells of a few characters each.
    """
    names = [name.rstrip(">~") for name in columns]
    cells = [[cell if isinstance(cell, Text) else Text(one_line(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, [name, *(row[number].plain for row in cells)])) for number, name in enumerate(names)]
    target = console()
    elastic = [number for number, name in enumerate(columns) if name.endswith("~")]
    excess = sum(widths) + _GAP * len(columns) - target.width
    for number in elastic:
        widths[number] = max(min(widths[number], _NARROWEST), widths[number] - max(0, excess) // len(elastic))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name, heading, width in zip(columns, names, widths, strict=True):
        justify: JustifyMethod = "right" if name.endswith(">") else "left"
        table.add_column(Text(heading), justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in cells:
        table.add_row(*row)
    target.width = max(target.width, sum(widths) + _GAP * len(columns))
    _print(target, table)


def print_fields(fields: Iterable[tuple[str, str | Text]]) -> None:
    """Name and value, a line each; empty values are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        text = value if isinstance(value, Text) else Text(one_line(value))
        if text:
            table.add_row(Text(name), text)
    _print(console(), table)


def _print(target: Console, table: Table) -> None:
    if target.is_terminal:
        target.print(table)
        return
    with target.capture() as captured:
        target.print(table)
    # a table fills its last column with blanks
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def state_text(state: str) -> Text:
    return Text(one_line(state), style=STATE_STYLES.get(state, ""))


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """`value` as people read it; `-` for None."""
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def duration(seconds: float | None) -> str:
    """In the unit that gives it a short number."""
    if seconds is None:
        return "-"
    if seconds < 2 * 60:
        return f"{seconds:.1f} s"
    if seconds < 2 * 60 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def moment(time: datetime | None) -> str:
    """In the machine's own time zone."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
