"""`ocrqueue delete`."""

from __future__ import annotations

import sys
from typing import Any

import click

from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.filters import act, bulk_options, filter_options, names_jobs, wanted
from ocrqueue.cli.inputs import expand_ids
from ocrqueue.cli.output import json_option, print_json, say_error
from ocrqueue.client import OcrQueue
from ocrqueue.errors import JobUnknown


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

    For good: record, result, crops, and the uploaded image if no other job has it. By id, or all that the filters mean.
    A job at work is cancelled first, and waited for. That an id has ended is remembered, and nothing else. `-` reads
    ids from stdin. With --json, one object a line.
    """
    asked = wanted(given)
    if bool(ids) == names_jobs(asked, all_jobs=all_jobs, dry_run=dry_run):
        raise click.UsageError("Give ids, or filters, or --all.")
    with OcrQueue() as queue:
        if not ids:
            result = act(queue.delete_many, asked, "deleted", all_jobs=all_jobs, dry_run=dry_run, as_json=as_json)
            context.exit(ExitStatus.TIMEOUT if result.still_running else ExitStatus.OK)
        status = ExitStatus.OK
        for job_id in expand_ids(ids, sys.stdin):
            try:
                done = "deleted" if queue.delete(job_id) else "running"
            except JobUnknown as error:
                status = ExitStatus.UNKNOWN
                if as_json:
                    print_json({"id": job_id, "error": error.info.model_dump(mode="json")})
                say_error(error.info)
                continue
            if done == "running" and status == ExitStatus.OK:
                status = ExitStatus.TIMEOUT
            if as_json:
                print_json({"id": job_id, "done": done})
            else:
                click.echo(f"{job_id}  {'running; it is asked to stop' if done == 'running' else done}")
        context.exit(status)
