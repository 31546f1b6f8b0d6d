"""`ocrqueue dead list`, `show`, `replay` and `drop`."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.inputs import expand_ids
from ocrqueue.cli.jobs import ids_argument, print_status
from ocrqueue.cli.output import json_option, moment, print_json, print_table, say, say_error
from ocrqueue.client import OcrQueue
from ocrqueue.errors import JobUnknown


@click.group()
def dead() -> None:
    """Look at failed jobs, and queue them again.

    A job that failed for a reason that may pass (its worker was killed, an engine broke, storage was away) is kept as
    a dead letter for OCRQUEUE_DEAD_LETTER_TTL_S seconds. One whose image or options are at fault is not.
    """


@dead.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest so many.")
@json_option
def list_(limit: int, as_json: bool) -> None:
    """List dead letters, the newest first.

    With --json, one object a line.
    """
    with OcrQueue() as queue:
        letters = queue.dead_letters.list(limit)
    if as_json:
        for letter in letters:
            print_json(letter.model_dump(mode="json"))
        return
    if not letters:
        say("there are no dead letters")
        return
    print_table(
        ["job", "failed", "error", "engine", "replays>", "image~"],
        (
            [
                letter.id,
                moment(letter.finished_at),
                letter.error.code if letter.error else "-",
                letter.engine,
                str(len(letter.history)),
                letter.tag or letter.image.rpartition("/")[2],
            ]
            for letter in letters
        ),
    )


@dead.command()
@click.argument("job_id", metavar="ID")
@json_option
def show(job_id: str, as_json: bool) -> None:
    """Show one dead letter, with how it ended before each replay."""
    with OcrQueue() as queue:
        letter = queue.dead_letters.get(job_id)
    if as_json:
        print_json(letter.model_dump(mode="json"))
        return
    print_status(letter)
    for number, outcome in enumerate(letter.history, 1):
        error = outcome.error
        click.echo(f"before replay {number}: {outcome.state}" + (f", {error.code}: {error.message}" if error else ""))


@dead.command()
@ids_argument
@json_option
@click.pass_context
def replay(context: click.Context, ids: tuple[str, ...], as_json: bool) -> None:
    """Queue dead letters again, under their ids.

    `-` reads ids from stdin. With --json, one object a line.
    """
    with OcrQueue() as queue:
        _each(context, expand_ids(ids, sys.stdin), queue.dead_letters.replay, "queued", as_json)


@dead.command()
@ids_argument
@json_option
@click.pass_context
def drop(context: click.Context, ids: tuple[str, ...], as_json: bool) -> None:
    """Take dead letters off the list.

    `-` reads ids from stdin. With --json, one object a line.
    """
    with OcrQueue() as queue:
        _each(context, expand_ids(ids, sys.stdin), queue.dead_letters.drop, "dropped", as_json)


def _each(context: click.Context, job_ids: list[str], action: Callable[[str], None], done: str, as_json: bool) -> None:
    missing = False
    for job_id in job_ids:
        try:
            action(job_id)
        except JobUnknown as error:
            missing = True
            if as_json:
                print_json({"id": job_id, "error": error.info.model_dump(mode="json")})
            say_error(error.info)
            continue
        if as_json:
            print_json({"id": job_id, "done": done})
        else:
            click.echo(f"{job_id}  {done}")
    context.exit(ExitStatus.UNKNOWN if missing else ExitStatus.OK)
