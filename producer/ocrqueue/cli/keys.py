"""`ocrqueue keys`: create, list and revoke API keys of the gateway."""

from __future__ import annotations

import click

from ocrqueue.cli.durations import Duration
from ocrqueue.cli.output import json_option, moment, print_json, print_table, say
from ocrqueue.client import OcrQueue
from ocrqueue.core.api_keys import SCOPES
from ocrqueue.core.job_filter import NO_NAME


@click.group()
def keys() -> None:
    """Make, show and revoke the gateway's API keys.

    A key belongs to a tenant, and works for that tenant's jobs only. A key without a tenant works for jobs without a
    tenant. If it also has the scope admin, it is an operator's key, and works for all jobs.
    """


def _names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


@keys.command()
@click.option("--tenant", default="", help="The tenant whose jobs it works for.")
@click.option(
    "--scopes",
    default="submit,read,cancel",
    show_default=True,
    callback=_names,
    metavar="NAME,...",
    help=f"One or more of {', '.join(SCOPES)}.",
)
@click.option("--engines", callback=_names, metavar="NAME,...", help="Engines that its jobs may use. [default: any]")
@click.option(
    "--rate",
    metavar="N/UNIT",
    help="Requests per second, minute, hour or day: 10/s, 600/m, 5000/h, 20000/d. [default: any]",
)
@click.option(
    "--expires",
    "expires_in_s",
    type=Duration(1),
    metavar="TIME",
    help="Expire after this time: 90d, 12h, ... [default: never]",
)
@click.option("--name", default="", help="A note for people: `keys list` shows it.")
@json_option
def create(as_json: bool, **asked: object) -> None:
    """Make a key, and show it once: nothing can show it again.

    The key goes to stdout, everything else to stderr: what the key may do and, if OCRQUEUE_GATEWAY_SECRET is set, the
    secret for clients that sign their requests. With --json, one object with all of this.
    """
    with OcrQueue() as queue:
        made = queue.api_keys.create(**asked)  # type: ignore[arg-type]  # click names them as the method does
    if as_json:
        print_json({**made.key.model_dump(mode="json"), "key": made.text, "signing_secret": made.signing_secret})
        return
    whose = made.key.tenant or "no tenant"
    say(f"id {made.key.id}, {', '.join(made.key.scopes)}, of {whose}; keep it, it is shown once:")
    click.echo(made.text)
    if made.signing_secret is not None:
        say("the secret to sign requests with, for clients that do not send the key:")
        say(made.signing_secret)


@keys.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show all keys, the newest first, and when each was last used. With --json, one array."""
    with OcrQueue() as queue:
        found = queue.api_keys.list()
    if as_json:
        print_json([key.model_dump(mode="json") for key in found])
        return
    if not found:
        say("there is no key")
        return
    print_table(
        ["id", "name~", "tenant", "scopes", "engines", "rate>", "created", "expires", "last used"],
        (
            [
                key.id,
                key.name or "-",
                key.tenant or NO_NAME,
                ",".join(key.scopes),
                "any" if key.engines is None else ",".join(key.engines),
                str(key.rate or "-"),
                moment(key.created_at),
                moment(key.expires_at) or "never",
                moment(key.used_at) or "never",
            ]
            for key in found
        ),
    )


@keys.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def revoke(ids: tuple[str, ...]) -> None:
    """Revoke keys, at once and on all replicas of the gateway."""
    with OcrQueue() as queue:
        for key_id in ids:
            queue.api_keys.revoke(key_id)
            say(f"{key_id} is revoked")
