"""`ocrqueue batch`."""

from __future__ import annotations

import click

from ocrqueue.cli.durations import SECONDS
from ocrqueue.cli.exit_codes import ExitStatus, exit_of_states
from ocrqueue.cli.output import json_option, moment, print_fields, print_json, say
from ocrqueue.client import OcrQueue
from ocrqueue.core.batches import BatchStatus
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.errors import FilterInvalid
from ocrqueue.waiting.progress import job_progress


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("action", type=click.Choice(["close", "cancel"]), required=False, metavar="[close|cancel]")
@click.option("--tenant", default=NO_NAME, metavar="NAME", help=f"Tenant of the batch; {NO_NAME} for none.")
@click.option(
    "--reply-to", metavar="QUEUE", help="With close: Celery queue that gets a message when the last job has ended."
)
@click.option("--wait", "-w", is_flag=True, help="Wait until all its jobs have ended.")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Give up waiting after this time. Implies --wait.")
@json_option
@click.pass_context
def batch(
    context: click.Context,
    name: str,
    action: str | None,
    tenant: str,
    reply_to: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Show a batch's jobs by state, close it, or cancel its jobs.

    `ocrqueue submit --batch NAME` adds jobs until the batch is closed. With --wait, the exit status says how the jobs
    ended. With --json, one object. `ocrqueue list --batch NAME` shows the jobs one by one.
    """
    if reply_to is not None and action != "close":
        raise click.UsageError("--reply-to goes with close.")
    if not tenant:
        raise FilterInvalid("The tenant is empty.")
    waits = wait or timeout is not None
    with OcrQueue() as queue:
        found = queue.batch(name, tenant="" if tenant == NO_NAME else tenant)
        status = found.close(reply_to) if action == "close" else found.status()
        if action == "cancel":
            jobs = found.cancel().jobs
            say(f"{jobs} job{'' if jobs == 1 else 's'} cancelled or asked to stop")
            status = found.status()
        if waits:
            with job_progress(status.jobs, shown=not as_json) as on_progress:
                status = found.wait(timeout, on_progress)
    if as_json:
        print_json(status.model_dump(mode="json"))
    else:
        _show(status)
    context.exit(exit_of_states(state for state, count in status.counts.items() if count) if waits else ExitStatus.OK)


def _show(status: BatchStatus) -> None:
    print_fields(
        [
            ("batch", status.name),
            ("tenant", status.tenant),
            ("jobs", str(status.jobs)),
            *((state, str(count)) for state, count in status.counts.items()),
            ("ended", f"{status.ended} of {status.jobs}, {100 * status.progress:.0f} %"),
            ("created", moment(status.created_at)),
            ("closed", moment(status.closed_at)),
            ("its end", moment(status.ended_at)),
        ]
    )
