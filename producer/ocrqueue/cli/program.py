"""The `ocrqueue` command: its subcommands, loaded when one is asked for, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from ocrqueue.cli.exit_codes import MEANINGS, ExitStatus

if TYPE_CHECKING:
    from ocrqueue.errors import OcrQueueError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "submit": ("ocrqueue.cli.submit:submit", "Queue images and documents."),
        "status": ("ocrqueue.cli.jobs:status", "Show jobs as they are now."),
        "wait": ("ocrqueue.cli.jobs:wait", "Wait until jobs have ended."),
        "result": ("ocrqueue.cli.results:result", "Print what was read."),
        "list": ("ocrqueue.cli.listing:list_", "List jobs by tag, tenant, batch, state, error and time."),
        "batch": ("ocrqueue.cli.batches:batch", "Show a batch's jobs by state, close it, or cancel its jobs."),
        "history": ("ocrqueue.cli.listing:history", "Show every attempt at a job."),
        "cancel": ("ocrqueue.cli.jobs:cancel", "Stop jobs."),
        "delete": ("ocrqueue.cli.deletion:delete", "Delete jobs with their results, crops and images."),
        "crops": ("ocrqueue.cli.crops:crops", "Download a picture of each word."),
        "overlay": ("ocrqueue.cli.overlay:overlay", "Draw the words on the picture that was read."),
        "queues": ("ocrqueue.cli.installation:queues", "Show the queues, and the workers that take from them."),
        "engines": ("ocrqueue.cli.installation:engines", "Show the engines: workers, queues, pace and cost."),
        "tenants": ("ocrqueue.cli.tenants:tenants", "Show tenants that wait, and set their shares and limits."),
        "usage": ("ocrqueue.cli.usage:usage", "Show what tenants have used: jobs, pages, processor time, bytes, cost."),
        "keys": ("ocrqueue.cli.keys:keys", "Make, show and revoke the gateway's API keys."),
        "workers": ("ocrqueue.cli.workers:workers", "Show the live workers, and drain some."),
        "pause": ("ocrqueue.cli.pauses:pause", "Stop taking jobs of engines, lanes or tenants."),
        "resume": ("ocrqueue.cli.pauses:resume", "Take jobs of paused engines, lanes or tenants again."),
        "top": ("ocrqueue.cli.top:top", "Watch workers, queues and errors live."),
        "metrics": ("ocrqueue.cli.metrics:metrics", "Serve the queues' metrics to Prometheus."),
        "dead": ("ocrqueue.cli.dead_letters:dead", "Look at failed jobs, and queue them again."),
        "watch": ("ocrqueue.cli.watch:watch", "Submit files that arrive in a folder or a bucket, and move them away."),
        "webhooks": ("ocrqueue.cli.webhooks:webhooks", "Notify URLs when jobs have ended, and show what was sent."),
        "audit": ("ocrqueue.cli.listing:audit", "Show what was done to many jobs at once, or to workers."),
        "reconcile": ("ocrqueue.cli.reconcile:reconcile", "Queue lost jobs again, and take in messages sent by name."),
        "intake": ("ocrqueue.cli.intake:intake", "Take in jobs that were sent by name to RabbitMQ."),
        "clean": ("ocrqueue.cli.clean:clean", "Remove files that nobody needs any more from storage."),
        "check": ("ocrqueue.cli.check:check", "Check whether the keys in Redis agree with each other."),
        "calibrate": ("ocrqueue.cli.calibrate:calibrate", "Learn from labelled pages what confidences mean."),
        "local": ("ocrqueue.cli.local:local", "Run the whole system on this machine."),
        "config": ("ocrqueue.cli.config:config", "Show the settings in effect."),
        "schema": ("ocrqueue.cli.schema:schema", "Print the JSON Schema of a job or document."),
        "completion": ("ocrqueue.cli.completion:completion", "Print a script for completion by TAB."),
    }
)
"""Name -> where the command is, and what it does. Importing a command brings in pydantic, redis and more: the list
of them, and completion by TAB, do without."""

_EPILOG: Final = "\b\nExit status:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in MEANINGS.items())


class Program(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            close = get_close_matches(name, COMMANDS, 1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {close[0]!r}?" if close else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors that a user can meet become one line and an exit status."""
        from ocrqueue.cli.exit_codes import exit_of_error
        from ocrqueue.cli.output import json_asked, prepare_streams, print_json, say, say_error
        from ocrqueue.errors import OcrQueueError
        from ocrqueue.settings.unknown import show_warnings_by

        def tell(error: OcrQueueError) -> NoReturn:
            if json_asked(ctx):
                print_json({"error": error.info.model_dump(mode="json")})
            say_error(error.info)
            ctx.exit(exit_of_error(error.info.code))

        prepare_streams()
        show_warnings_by(say)
        try:
            value = super().invoke(ctx)
            sys.stdout.flush()
        except OcrQueueError as error:
            tell(error)
        except KeyboardInterrupt:
            say("interrupted")
            ctx.exit(ExitStatus.INTERRUPTED)
        except BrokenPipeError:
            # what is still buffered must not fail a second time when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(ExitStatus.BROKEN_PIPE)
        except OSError as error:
            say(f"error: {error.filename or 'output'}: {error.strerror or error}")
            ctx.exit(ExitStatus.FAILED)
        except Exception as error:
            fault = _fault_of_redis(error)
            if fault is None:
                raise
            tell(fault)
        return value


def _fault_of_redis(error: Exception) -> OcrQueueError | None:
    if not type(error).__module__.startswith("redis."):
        return None
    from ocrqueue.core.redis_faults import fault_of_others

    return fault_of_others(error)


@click.command(cls=Program, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ocrqueue", prog_name="ocrqueue")
def program() -> None:
    """Read the text of images through a queue of OCR workers.

    Settings come from OCRQUEUE_* variables or a .env file: `ocrqueue config` shows them. `ocrqueue local` starts the
    whole system on this machine.
    """


def main() -> None:
    """Entry point of the console script."""
    program(prog_name="ocrqueue")
