"""`ocrqueue tenants`, `ocrqueue tenants weight` and `ocrqueue tenants limit`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from ocrqueue.cli.output import json_option, print_fields, print_json, print_table, say
from ocrqueue.client import OcrQueue, registry_of
from ocrqueue.core import tenants as core
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.core.limits import TenantLimits
from ocrqueue.job import TENANT

_LEAST: Final = 0.001
_MOST: Final = 1000.0


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def tenants(context: click.Context, as_json: bool) -> None:
    """Show tenants that wait, and set their shares and limits.

    Tenants that wait in a lane take turns, by weight: workers take three jobs of a tenant with weight 3 for each job of
    a tenant with weight 1, the default. `-` stands for jobs without a tenant. The command shows the first 100 tenants
    of each lane. With --json, one array.
    """
    if context.invoked_subcommand is not None:
        return
    with OcrQueue() as queue:
        found = core.tenants(registry_of(queue))
    if as_json:
        print_json([tenant.model_dump(mode="json") for tenant in found])
        return
    if not found:
        say("no tenant waits")
        return
    print_table(
        ["tenant", "weight>", "paused", "waiting>", "limits", "lanes"],
        (
            [
                tenant.name or NO_NAME,
                f"{tenant.weight:g}",
                "yes" if tenant.paused else "-",
                str(sum(tenant.waiting.values())),
                ", ".join(f"{name} {value}" for name, value in _told(tenant.limits)) or "-",
                ", ".join(f"{lane} {parts}" for lane, parts in tenant.waiting.items()) or "-",
            ]
            for tenant in found
        ),
    )


@tenants.command()
@click.argument("pairs", nargs=-1, required=True, metavar="NAME=WEIGHT...")
def weight(pairs: tuple[str, ...]) -> None:
    """Set tenants' shares of every lane.

    A weight counts from the tenant's next turn on, also for jobs that already wait. All other tenants have weight 1.
    `=2` sets the weight of jobs without a tenant.
    """
    weights = parse_weights(pairs)
    with OcrQueue() as queue:
        core.set_weights(registry_of(queue), weights)


Value = TypeVar("Value")


def _or_none(parse: Callable[[str], Value]) -> Callable[[Any, click.Parameter, str | None], Value | str | None]:
    """An option's value, or None for the word `none`. What is not given stays "", and changes nothing."""

    def value_of(_: Any, option: click.Parameter, text: str | None) -> Value | str | None:
        if text is None:
            return ""
        if text == "none":
            return None
        try:
            return parse(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is no such number, nor `none`.", param=option) from None

    return value_of


@tenants.command()
@click.argument("name")
@click.option(
    "--rate",
    callback=_or_none(str),
    metavar="N/UNIT",
    help="Jobs per second, minute, hour or day: 10/s, 600/m, 5000/h, 20000/d.",
)
@click.option(
    "--waiting", callback=_or_none(int), metavar="N", help="Jobs, and parts of jobs, that wait in all lanes together."
)
@click.option("--pages-a-month", callback=_or_none(int), metavar="N", help="Pages in a calendar month (UTC).")
@click.option(
    "--budget-a-month",
    callback=_or_none(float),
    metavar="AMOUNT",
    help="Cost of the pages in a calendar month, by OCRQUEUE_ENGINE_PAGE_COST.",
)
@json_option
def limit(name: str, as_json: bool, **given: Any) -> None:
    """Set the limits of the tenant NAME, or show them.

    Jobs beyond a limit are refused as tenant.limited, in whatever way they are submitted. `none` removes a limit. NAME
    is `-` for jobs without a tenant. Without an option, the command shows the limits.
    """
    changes = {what: value for what, value in given.items() if value != ""}
    tenant = "" if name == NO_NAME else name
    with OcrQueue() as queue:
        limits = queue.limit_tenant(tenant, **changes) if changes else queue.tenant_limits(tenant)
    if as_json:
        print_json({"tenant": tenant, **limits.model_dump(mode="json"), "rate": limits.rate and str(limits.rate)})
    elif told := _told(limits):
        print_fields(told)
    else:
        say(f"{name} has no limit")


def _told(limits: TenantLimits) -> list[tuple[str, str]]:
    given = {
        "rate": limits.rate,
        "waiting": limits.waiting,
        "pages a month": limits.pages_a_month,
        "budget a month": None if limits.budget_a_month is None else f"{limits.budget_a_month:.2f}",
    }
    return [(name, str(value)) for name, value in given.items() if value is not None]


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
