"""`ocrqueue dead list`, `show`, `replay` and `drop`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from ocrqueue.cli.exit_codes import ExitStatus, exit_of_error
from ocrqueue.cli.filters import act, bulk_options, check_choice, filter_options, wanted
from ocrqueue.cli.inputs import expand_ids
from ocrqueue.cli.jobs import image_name, print_status, short_tag
from ocrqueue.cli.output import json_option, moment, one_line, print_json, print_table, say, say_error
from ocrqueue.client import OcrQueue
from ocrqueue.errors import JobNotFailed, JobUnknown


@click.group()
def dead() -> None:
    """Look at failed jobs, and queue them again.

    A job that failed for a reason that may pass (its worker was killed, an engine broke, storage was away) is kept as a
    dead letter for OCRQUEUE_DEAD_LETTER_TTL_S seconds. A job whose image or options are at fault is not a dead letter,
    but can be replayed too, once the cause is gone: `ocrqueue list --state failed` shows all.
    """


@dead.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most this many, the newest.")
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
    with_tags = any(letter.tag for letter in letters)
    print_table(
        ["job", "failed", "error", "engine", "replays>", "image~", *(["tag~"] if with_tags else [])],
        (
            [
                letter.id,
                moment(letter.finished_at),
                letter.error.code if letter.error else "-",
                letter.engine,
                str(len(letter.history)),
                image_name(letter),
                *([short_tag(letter.tag)] if with_tags else []),
            ]
            for letter in letters
        ),
    )


@dead.command()
@click.argument("job_id", metavar="ID")
@json_option
def show(job_id: str, as_json: bool) -> None:
    """Show one failed job, dead letter or not, and how it ended before each replay."""
    with OcrQueue() as queue:
        letter, is_listed = queue.dead_letters.get(job_id), job_id in queue.dead_letters
    if as_json:
        print_json(letter.model_dump(mode="json"))
        return
    print_status(letter)
    if not is_listed:
        say("not a dead letter: its image or options are at fault, or it was dropped; you can replay it all the same")
    for number, outcome in enumerate(letter.history, 1):
        error = outcome.error
        told = f"before replay {number}: {outcome.state}" + (f", {error.code}: {error.message}" if error else "")
        click.echo(one_line(told))


@dead.command()
@click.argument("ids", nargs=-1, metavar="[ID...]")
@filter_options(states=False)
@bulk_options
@json_option
@click.pass_context
def replay(
    context: click.Context, /, ids: tuple[str, ...], all_jobs: bool, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Queue failed jobs again, under the same ids.

    The jobs need not be dead letters. Give ids, or filters such as `--code language.missing`. `-` reads ids from stdin.
    With --json, one object a line.
    """
    asked = wanted(given)
    check_choice(ids, asked, all_jobs=all_jobs, dry_run=dry_run)
    with OcrQueue() as queue:
        if not ids:
            act(queue.replay_many, asked, "queued", all_jobs=all_jobs, dry_run=dry_run, as_json=as_json)
            return

        def again(job_id: str) -> str:
            queue.dead_letters.replay(job_id)
            return "queued"

        _each(context, expand_ids(ids, sys.stdin), again, as_json)


@dead.command()
@click.argument("ids", nargs=-1, metavar="[ID...]")
@filter_options(states=False)
@bulk_options
@json_option
@click.pass_context
def drop(
    context: click.Context, /, ids: tuple[str, ...], all_jobs: bool, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Take dead letters off the list.

    Give ids, or filters. The records stay, and the jobs can still be replayed. `-` reads ids from stdin. With --json,
    one object a line.
    """
    asked = wanted(given)
    check_choice(ids, asked, all_jobs=all_jobs, dry_run=dry_run)
    with OcrQueue() as queue:
        if not ids:
            act(queue.drop_many, asked, "dropped", all_jobs=all_jobs, dry_run=dry_run, as_json=as_json)
            return

        def off_the_list(job_id: str) -> str:
            return "dropped" if queue.dead_letters.drop(job_id) else "not on the list"

        _each(context, expand_ids(ids, sys.stdin), off_the_list, as_json)


def _each(context: click.Context, job_ids: list[str], action: Callable[[str], str], as_json: bool) -> None:
    status = ExitStatus.OK
    for job_id in job_ids:
        try:
            done = action(job_id)
        except (JobUnknown, JobNotFailed) as error:
            status = exit_of_error(error.code)
            if as_json:
                print_json({"id": job_id, "error": error.info.model_dump(mode="json")})
            say_error(error.info)
            continue
        if as_json:
            print_json({"id": job_id, "done": done})
        else:
            click.echo(f"{one_line(job_id)}  {done}")
    context.exit(status)
