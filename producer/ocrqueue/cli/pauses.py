"""`ocrqueue pause` and `ocrqueue resume`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ocrqueue.cli.output import json_option, moment, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.errors import PauseInvalid

Named = list[dict[str, str]]
"""Each with one of the keys engine, lane and tenant: what the methods of OcrQueue take."""


def _names(command: Any) -> Any:
    for kind, example in (
        ("tenant", "acme; - for jobs without one"),
        ("lane", "ocr.tesseract.low"),
        ("engine", "keras"),
    ):
        command = click.option(
            f"--{kind}",
            f"{kind}s",
            multiple=True,
            metavar="NAME",
            help=f"{kind.capitalize()}, such as {example}. Repeatable.",
        )(command)
    return command


@click.command()
@_names
@click.option("--reason", default="", help="Reason, shown with the pause.")
@json_option
def pause(
    engines: tuple[str, ...], lanes: tuple[str, ...], tenants: tuple[str, ...], reason: str, as_json: bool
) -> None:
    """Stop taking jobs of engines, lanes or tenants.

    Jobs can still be submitted, and wait. Jobs that have begun go on to their end. Without an option, the command shows
    what is paused. With --json, one array of what is paused.
    """
    with OcrQueue() as queue:
        _each(_named(engines, lanes, tenants), lambda what: queue.pause(**what, reason=reason), "was paused already")
        if as_json:
            print_json([each.model_dump(mode="json") for each in queue.pauses()])
        elif not (engines or lanes or tenants):
            _show(queue)


@click.command()
@_names
@click.option("--all", "everything", is_flag=True, help="Everything that is paused.")
def resume(engines: tuple[str, ...], lanes: tuple[str, ...], tenants: tuple[str, ...], everything: bool) -> None:
    """Take jobs of paused engines, lanes or tenants again.

    Workers take the jobs in the same order as without the pause. If you resume an engine, lanes of it that were paused
    by themselves stay paused.
    """
    named = _named(engines, lanes, tenants)
    if bool(named) == everything:
        raise click.UsageError("Name engines, lanes or tenants, or give --all.")
    with OcrQueue() as queue:
        if everything:
            named = [{each.kind: each.name} for each in queue.pauses()]
        _each(named, lambda what: queue.resume(**what), "was not paused")


def _named(engines: tuple[str, ...], lanes: tuple[str, ...], tenants: tuple[str, ...]) -> Named:
    if "" in (*engines, *lanes, *tenants):
        raise PauseInvalid("The name is empty.", remedy=f"{NO_NAME} stands for jobs without a tenant.")
    return [
        *({"engine": name} for name in engines),
        *({"lane": name} for name in lanes),
        *({"tenant": "" if name == NO_NAME else name} for name in tenants),
    ]


def _each(named: Named, act: Callable[[dict[str, str]], bool], otherwise: str) -> None:
    for what in named:
        if not act(what):
            ((kind, name),) = what.items()
            say(f"{kind} {name or NO_NAME} {otherwise}")


def _show(queue: OcrQueue) -> None:
    found = queue.pauses()
    if not found:
        say("nothing is paused")
        return
    rows = [[each.kind, each.name or NO_NAME, moment(each.since), each.reason or "-"] for each in found]
    print_table(["kind", "name", "since", "reason~"], rows)
