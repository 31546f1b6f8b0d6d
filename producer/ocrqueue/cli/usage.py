"""`ocrqueue usage`."""

from __future__ import annotations

from typing import Literal

import click

from ocrqueue.cli.output import json_option, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.core.job_filter import NO_NAME


@click.command()
@click.option("--tenant", help="This tenant only; - for jobs without a tenant.")
@click.option("--by", type=click.Choice(["day", "month"]), default="month", show_default=True)
@click.option(
    "--last", type=click.IntRange(1), default=2, show_default=True, help="This many days or months, up to now."
)
@json_option
def usage(tenant: str | None, by: Literal["day", "month"], last: int, as_json: bool) -> None:
    """Show what tenants have used: jobs, pages, processor time, bytes, cost.

    Shows days or calendar months, in UTC, the newest first. Redis keeps 400 days. With --json, one array.
    """
    with OcrQueue() as queue:
        found = queue.usage("" if tenant == NO_NAME else tenant, by=by, last=last)
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    if not found:
        say("nothing was used")
        return
    print_table(
        [by, "tenant", "jobs>", "pages>", "cpu s>", "bytes>", "cost>"],
        (
            [
                each.period,
                each.tenant or NO_NAME,
                str(each.jobs),
                str(each.pages),
                f"{each.cpu_s:.1f}",
                str(each.bytes),
                f"{each.cost:.2f}",
            ]
            for each in found
        ),
    )
