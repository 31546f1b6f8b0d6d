"""`ocrqueue check`: whether the keys in Redis agree with each other."""

from __future__ import annotations

import click

from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.output import json_option, one_line, print_json
from ocrqueue.client import OcrQueue, registry_of
from ocrqueue.core.check import check as faults_of


@click.command()
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Check whether the keys in Redis agree with each other.

    Each part of a job must be in one place, the counters must be right, and no message may be set aside. If so, the
    command prints nothing, and the exit status is 0. Otherwise it prints a sentence for each fault, and the exit status
    is 1. It reads all that Redis holds of the installation. This takes minutes for a million jobs, and delays nobody.
    With --json, one array.
    """
    with OcrQueue() as queue:
        found = faults_of(registry_of(queue))
    if as_json:
        print_json(found)
    else:
        for sentence in found:
            click.echo(one_line(sentence))
    context.exit(ExitStatus.FAILED if found else ExitStatus.OK)
