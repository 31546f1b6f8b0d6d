"""`ocrqueue delete`."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from ocrqueue.cli.exit_codes import ExitStatus, exit_of_error
from ocrqueue.cli.filters import act, bulk_options, check_choice, filter_options, say_left_in_storage, wanted
from ocrqueue.cli.inputs import expand_ids
from ocrqueue.cli.output import json_option, one_line, print_json, say_error
from ocrqueue.client import OcrQueue
from ocrqueue.errors import ErrorInfo, JobUnknown

_AT_ONCE: Final = 500
"""Ids with one line in the audit."""
_TOLD: Final = {"deleted": "deleted", "gone": "was deleted before", "running": "running; it is asked to stop"}


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID...]")
@filter_options(states=True)
@bulk_options
@json_option
@click.pass_context
def delete(
    context: click.Context, /, ids: tuple[str, ...], all_jobs: bool, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Delete jobs with their results, crops and images.

    Removes record, result, crops, and the uploaded image if no other job uses it, for good. Give ids, or filters. A job
    that has not ended is cancelled first, and the command waits for its end. Afterwards only the fact that the id was
    deleted is known. `-` reads ids from stdin. With --json, one object a line.
    """
    asked = wanted(given)
    check_choice(ids, asked, all_jobs=all_jobs, dry_run=dry_run)
    error: ErrorInfo | None = None
    left = 0
    with OcrQueue() as queue:
        if not ids:
            result = act(queue.delete_many, asked, "deleted", all_jobs=all_jobs, dry_run=dry_run, as_json=as_json)
            context.exit(_status(result.storage_error, result.still_running or result.left_in_storage))
        became: set[str] = set()
        job_ids = expand_ids(ids, sys.stdin)
        for start in range(0, len(job_ids), _AT_ONCE):
            named = queue.delete_ids(job_ids[start : start + _AT_ONCE])
            for job_id, what in named.became.items():
                _print(job_id, what, as_json)
            say_left_in_storage(named)
            became |= {*named.became.values()}
            error = named.storage_error or error
            left += named.left_in_storage
    if "unknown" in became:
        context.exit(ExitStatus.UNKNOWN)
    context.exit(_status(error, left or "running" in became))


def _print(job_id: str, what: str, as_json: bool) -> None:
    unknown = JobUnknown(f"No job {job_id}.").info
    if what == "unknown":
        if as_json:
            print_json({"id": job_id, "error": unknown.model_dump(mode="json")})
        say_error(unknown)
    elif as_json:
        print_json({"id": job_id, "done": what})
    else:
        click.echo(f"{one_line(job_id)}  {_TOLD[what]}")


def _status(error: ErrorInfo | None, later: object) -> ExitStatus:
    """`later`: whether something is to be done still."""
    if error is not None:
        return exit_of_error(error.code)
    return ExitStatus.TIMEOUT if later else ExitStatus.OK
