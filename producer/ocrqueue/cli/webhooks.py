"""`ocrqueue webhooks`: who is told of ends, by HTTP, and what became of it."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, get_args

import click

from ocrqueue.cli.exit_codes import ExitStatus, exit_of_error
from ocrqueue.cli.output import json_option, moment, number, print_json, print_table, say, say_error
from ocrqueue.client import OcrQueue, registry_of
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.errors import WebhookOff, WebhooksExtraMissing, WebhookUnknown
from ocrqueue.job import TENANT
from ocrqueue.settings import load_client_settings
from ocrqueue.webhooks import endpoints, notices
from ocrqueue.webhooks.secrets import Kind, StoredSecret

_MOST_AT_ONCE: Final = 1000


def _tenant(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not re.fullmatch(TENANT, value):
        raise click.BadParameter("That is no name of a tenant.")
    return value


tenant_option = click.option(
    "--tenant", default="", callback=_tenant, metavar="NAME", help="The tenant. Without it: jobs without a tenant."
)
key_option = click.option(
    "--key",
    "kind",
    type=click.Choice(get_args(Kind)),
    default="hmac",
    show_default=True,
    help="hmac: both sides have the secret. ed25519: a pair of keys; the receiver has the public key.",
)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def webhooks(context: click.Context, as_json: bool) -> None:
    """Notify URLs when jobs have ended, and show what was sent.

    Without a subcommand, the command shows the tenants' webhooks. `-` stands for jobs without a tenant. With --json,
    one object a line.
    """
    if context.invoked_subcommand is not None:
        return
    with OcrQueue() as queue:
        found = endpoints.endpoints(registry_of(queue))
    if as_json:
        for each in found:
            print_json(each.model_dump(mode="json"))
        return
    if not found:
        say("no webhooks: `ocrqueue webhooks set URL` makes one")
        return
    print_table(
        ["tenant", "url~", "state", "keys", "pending>"],
        (
            [
                each.tenant or NO_NAME,
                each.url or "-",
                "off: answered 410" if each.off else "on" if each.url else "-",
                ", ".join(each.secrets) or "none: nothing is sent",
                str(each.pending),
            ]
            for each in found
        ),
    )


@webhooks.command(name="set")
@click.argument("url", metavar="URL")
@tenant_option
@key_option
@json_option
def set_(url: str, tenant: str, kind: Kind, as_json: bool) -> None:
    """Notify URL when jobs and batches of a tenant have ended.

    URL replaces the previous one. If the tenant has no secret, the command makes one, and prints it once. For a job
    with a URL of its own, the notice goes to that URL, signed with the same secret.
    """
    with OcrQueue() as queue:
        made = endpoints.set_endpoint(registry_of(queue), tenant, url, kind)
    if made is not None:
        _print_secret(made, as_json=as_json)


@webhooks.command()
@tenant_option
@key_option
@json_option
def rotate(tenant: str, kind: Kind, as_json: bool) -> None:
    """Make a new secret, and print it once.

    Notices are signed with the new and the previous secret until the next rotation or `ocrqueue webhooks retire`. For
    an ed25519 pair, the command prints the public key.
    """
    with OcrQueue() as queue:
        made = endpoints.rotate_secret(registry_of(queue), tenant, kind)
    _print_secret(made, as_json=as_json)


@webhooks.command()
@tenant_option
def retire(tenant: str) -> None:
    """Stop signing with the previous secret."""
    with OcrQueue() as queue:
        endpoints.retire_secret(registry_of(queue), tenant)


@webhooks.command()
@tenant_option
@click.option(
    "--secrets", "with_secrets", is_flag=True, help="Also remove the tenant's secrets. Then nothing is sent at all."
)
def remove(tenant: str, with_secrets: bool) -> None:
    """Stop notifying a tenant's URL. Notices that already wait are still sent."""
    with OcrQueue() as queue:
        endpoints.remove_endpoint(registry_of(queue), tenant, with_secrets=with_secrets)


@webhooks.command()
@click.argument("url", metavar="URL")
@tenant_option
def enable(url: str, tenant: str) -> None:
    """Notify URL again after it answered 410."""
    with OcrQueue() as queue:
        say("it is told again" if endpoints.enable_url(registry_of(queue), tenant, url) else "it was not off")


@webhooks.command()
@click.option("--once", is_flag=True, help="End when no notice is due.")
@click.option(
    "--at-once",
    type=click.IntRange(1, _MOST_AT_ONCE),
    default=200,
    show_default=True,
    help="Requests at the same time; at most ten of them to one host.",
)
@json_option
def send(once: bool, at_once: int, as_json: bool) -> None:
    """Send notices to their receivers, until SIGTERM or Ctrl-C.

    Any number of senders can run beside each other. If a receiver does not take a notice, it is sent again, ten times
    in all within 75 hours. At the end the command says how many attempts ended in which way; with --json, as one
    object.
    """
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    try:
        from ocrqueue.webhooks.sender import Sender
    except ModuleNotFoundError as error:
        raise WebhooksExtraMissing(f"{error}.") from None

    async def run() -> dict[str, int]:
        sender = Sender(load_client_settings(), at_once)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signal_number, sender.stop)
        await sender.run(until_empty=once)
        return sender.became

    became = asyncio.run(run())
    if as_json:
        print_json(became)
    else:
        say(", ".join(f"{count} {what}" for what, count in became.items()) or "nothing was sent")


@webhooks.command()
@click.argument("job_id", metavar="ID")
@json_option
def log(job_id: str, as_json: bool) -> None:
    """Show every attempt to send a job's notices.

    For each notice, the newest 32 attempts. With --json, one object for each notice.
    """
    with OcrQueue() as queue:
        found = notices.notices_of(registry_of(queue), job_id)
    if as_json:
        for notice in found:
            print_json(notice.model_dump(mode="json"))
    elif not found:
        say("nobody is to be told of this job, or it has not ended, or that was long ago")
    else:
        print_table(["notice", "state", "url~", "when", "became", "status>", "took>", "error"], _attempts(found))


def _attempts(found: Sequence[notices.Notice]) -> list[list[str]]:
    rows = []
    for notice in found:
        told = [
            [moment(each.at), each.became, number(each.status), number(each.took_s, 1, " s"), each.error or ""]
            for each in notice.log
        ] or [["-", "-", "-", "-", ""]]
        rows += [[notice.id, notice.state, notice.url, *each] for each in told]
    return rows


@webhooks.command()
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many, the newest."
)
@click.option("--tenant", default=None, metavar="NAME", help="This tenant only; an empty name: jobs without a tenant.")
@json_option
def failed(limit: int, tenant: str | None, as_json: bool) -> None:
    """List notices that have failed, the newest first.

    With --json, one object a line.
    """
    with OcrQueue() as queue:
        found = notices.failed_notices(registry_of(queue), limit, tenant)
    if as_json:
        for notice in found:
            print_json(notice.model_dump(mode="json"))
    elif not found:
        say("no notice has failed")
    else:
        print_table(
            ["notice", "tenant", "url~", "given up", "attempts>", "last"],
            (
                [
                    notice.id,
                    notice.tenant or NO_NAME,
                    notice.url,
                    moment(notice.ended_at),
                    str(notice.attempts),
                    (notice.log[-1].error or str(notice.log[-1].status)) if notice.log else "-",
                ]
                for notice in found
            ),
        )


@webhooks.command()
@click.argument("ids", nargs=-1, metavar="[NOTICE...]")
@click.option(
    "--all", "all_failed", is_flag=True, help="All notices that have failed; with --tenant, those of one tenant."
)
@click.option("--tenant", default=None, metavar="NAME", help="With --all: this tenant only.")
@json_option
@click.pass_context
def replay(context: click.Context, ids: tuple[str, ...], all_failed: bool, tenant: str | None, as_json: bool) -> None:
    """Send notices again, even if the receiver has taken them.

    `ocrqueue webhooks failed` and `ocrqueue webhooks log` show their ids. With --json, one object a line.
    """
    if bool(ids) == all_failed:
        raise click.UsageError("Give ids of notices, or --all.")
    status = ExitStatus.OK
    with OcrQueue() as queue:
        named: Sequence[str] = ids or [
            notice.id for notice in notices.failed_notices(registry_of(queue), sys.maxsize, tenant)
        ]
        for notice in named:
            told: dict[str, Any] = {"id": notice, "done": "queued"}
            try:
                notices.replay_notice(registry_of(queue), notice)
            except (WebhookUnknown, WebhookOff) as error:
                status = exit_of_error(error.code)
                told = {"id": notice, "error": error.info.model_dump(mode="json")}
                say_error(error.info)
            if as_json:
                print_json(told)
    if not as_json and status == ExitStatus.OK:
        say(f"{len(named)} to be sent")
    context.exit(status)


def _print_secret(made: StoredSecret, *, as_json: bool) -> None:
    if as_json:
        print_json({"kind": made.kind, "public_key" if made.kind == "ed25519" else "secret": made.shown})
        return
    if made.kind == "hmac":
        say("the secret, which is shown this once:")
    else:
        say("the public key; the private one stays here:")
    click.echo(made.shown)
