"""`ocrqueue-worker engine`: what authors of engines ask."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from ocrqueue.cli.exit_codes import ExitStatus, exit_of_error
from ocrqueue.cli.inputs import parse_options
from ocrqueue.cli.output import json_option, prepare_streams, print_table, say, say_error
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import load_worker_settings

_STYLES: Final = {"right": "green", "wrong": "bold red", "advice": "yellow", "left out": "dim"}


class _Engine(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that a user can meet becomes one line and an exit status."""
        prepare_streams()
        try:
            return super().invoke(ctx)
        except OcrQueueError as error:
            say_error(error.info)
            ctx.exit(exit_of_error(error.info.code))


@click.group(cls=_Engine)
def engine() -> None:
    """Look at an engine, which may be one of your own."""


@engine.command()
@click.argument("name")
@click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="Option of the engine. Repeatable.")
@click.option("--languages", "-l", help="Such as eng+kor.  [default: one that the engine reads]")
@click.option(
    "--seconds", default=120.0, show_default=True, type=click.FloatRange(min=1), help="Time limit of each check."
)
@json_option
@click.pass_context
def check(
    ctx: click.Context, name: str, options: tuple[str, ...], languages: str | None, seconds: float, as_json: bool
) -> None:
    """Check that an engine does all that a worker needs, and name its faults.

    Exit status 1: the engine has a fault. `advice` is no fault. The command does not ask Redis. With --json, one object
    a line.
    """
    from ocrqueue_worker.engine_contract.running import Question, run_checks

    question = Question(
        engine=name,
        settings=load_worker_settings(),
        options=parse_options(options),
        languages=tuple((languages or "").split("+")) if languages else (),
        seconds=seconds,
    )
    findings = []
    for found in run_checks(question):
        findings.append(found)
        if as_json:
            click.echo(json.dumps(vars(found)))
    if not as_json:
        print_table(("check", "", "what"), [_row(found.check, found.verdict, found.about) for found in findings])
        for found in findings:
            for told in found.told if found.verdict != "left out" else ():
                say(f"{found.check}: {told}")
    if any(found.is_wrong for found in findings):
        ctx.exit(ExitStatus.FAILED)


def _row(name: str, verdict: str, about: str) -> tuple[Any, ...]:
    from rich.text import Text

    return name, Text(verdict, style=_STYLES[verdict]), about
