"""`ocrqueue list`, `history` and `audit`."""

from __future__ import annotations

from typing import Any

import click

from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.filters import described, filter_options, wanted
from ocrqueue.cli.jobs import print_list
from ocrqueue.cli.output import json_option, moment, number, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.core.job_filter import JobFilter


@click.command("list")
@filter_options(states=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Jobs on a page.")
@click.option("--after", metavar="CURSOR", help="Show the page after this id, which the previous page printed.")
@json_option
def list_(limit: int, after: str | None, as_json: bool, **given: Any) -> None:
    """List jobs by tag, tenant, batch, state, error and time.

    Jobs that have not ended come first, then those that have, both with the newest first. A job must match all filters.
    If more jobs may follow, stderr says how to get the next page. With --json, one object: `jobs` and `next`.
    """
    asked = wanted(given)
    with OcrQueue() as queue:
        page = queue.jobs(limit=limit, after=after, **asked)
    if as_json:
        print_json({"jobs": [job.model_dump(mode="json") for job in page.jobs], "next": page.next})
        return
    if page.jobs:
        print_list(page.jobs)
    else:
        looked_for = described(JobFilter.of(**asked).to_message())
        say(f"no {'more ' if after else ''}jobs" + (f" with {looked_for}" if looked_for else ""))
    if page.next:
        say(f"more: --after {page.next}")


@click.command()
@click.argument("job_id", metavar="ID")
@json_option
@click.pass_context
def history(context: click.Context, job_id: str, as_json: bool) -> None:
    """Show every attempt at a job.

    Shows the newest 32 attempts, including replays. For a job of several parts it also shows the newest 32 pages that
    were read. With --json, one object a line.
    """
    with OcrQueue() as queue:
        found = queue.history(job_id)
    if as_json:
        for attempt in found:
            print_json(attempt.model_dump(mode="json"))
    elif not found:
        say("no attempt has ended or begun")
    else:
        print_table(
            ["attempt>", "page>", "engine", "worker", "began", "ended", "became", "error"],
            (
                [
                    number(attempt.number),
                    number(attempt.page),
                    attempt.engine or "-",
                    attempt.worker or "-",
                    moment(attempt.started_at),
                    moment(attempt.ended_at),
                    attempt.became,
                    f"{attempt.error.code}: {attempt.error.message}" if attempt.error else "",
                ]
                for attempt in found
            ),
        )
    context.exit(ExitStatus.OK)


@click.command()
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many, the newest."
)
@json_option
def audit(limit: int, as_json: bool) -> None:
    """Show what was done to many jobs at once, or to workers.

    Shows who did it, when, to which jobs and to how many. It also shows pauses, cleaning, drained workers, limits of
    tenants, and API keys that were made or revoked. Redis keeps the last 1000 actions. With --json, one object a line.
    """
    with OcrQueue() as queue:
        entries = queue.audit(limit)
    if as_json:
        for entry in entries:
            print_json(entry.model_dump(mode="json"))
        return
    if not entries:
        say("nothing was done to many jobs at once")
        return
    print_table(
        ["when", "who", "action", "jobs>", "ended", "filter"],
        (
            [
                moment(entry.at),
                entry.who,
                entry.action,
                str(entry.jobs),
                entry.ended or "not yet, or killed",
                described(entry.filter) or "all",
            ]
            for entry in entries
        ),
    )
