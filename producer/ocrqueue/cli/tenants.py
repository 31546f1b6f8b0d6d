"""`ocrqueue tenants`, and `ocrqueue tenants weight`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import click

from ocrqueue.cli.output import json_option, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.core import tenants as core
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.job import TENANT

_LEAST: Final = 0.001
_MOST: Final = 1000.0


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def tenants(context: click.Context, as_json: bool) -> None:
    """Show tenants that wait, and set their shares.

    Tenants that wait in a lane take turns, by weight: of a tenant with weight 3, three jobs are taken for each job of a
    tenant with weight 1, the default. `-` stands for jobs without a tenant. The first 100 tenants of each lane are
    shown. With --json, one array.
    """
    if context.invoked_subcommand is not None:
        return
    with OcrQueue() as queue:
        found = core.tenants(queue.registry)
    if as_json:
        print_json([tenant.model_dump(mode="json") for tenant in found])
        return
    if not found:
        say("no tenant waits")
        return
    print_table(
        ["tenant", "weight>", "paused", "waiting>", "lanes"],
        (
            [
                tenant.name or NO_NAME,
                f"{tenant.weight:g}",
                "yes" if tenant.paused else "-",
                str(sum(tenant.waiting.values())),
                ", ".join(f"{lane} {parts}" for lane, parts in tenant.waiting.items()) or "-",
            ]
            for tenant in found
        ),
    )


@tenants.command()
@click.argument("pairs", nargs=-1, required=True, metavar="NAME=WEIGHT...")
def weight(pairs: tuple[str, ...]) -> None:
    """Set tenants' shares of every lane.

    It counts from the tenant's next turn on, for jobs that wait already too. 1 is the weight of all others; `=2` sets
    that of jobs without a tenant.
    """
    weights = parse_weights(pairs)
    with OcrQueue() as queue:
        core.set_weights(queue.registry, weights)


def parse_weights(pairs: Sequence[str]) -> dict[str, float]:
    """Tenant -> weight, from `name=3`. Raises click.BadParameter."""
    weights: dict[str, float] = {}
    for pair in pairs:
        name, equals, text = pair.rpartition("=")
        if not equals or not re.fullmatch(TENANT, name) or name in weights:
            raise click.BadParameter(f"{pair!r} is not NAME=WEIGHT, each name once.")
        try:
            weights[name] = float(text)
        except ValueError:
            weights[name] = 0.0
        if not _LEAST <= weights[name] <= _MOST:
            raise click.BadParameter(f"{pair!r}: a weight is a number from {_LEAST:g} to {_MOST:g}.")
    return weights
