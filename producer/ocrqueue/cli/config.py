"""`ocrqueue config`."""

from __future__ import annotations

import click
from rich.text import Text

from ocrqueue.cli.output import json_option, one_line, print_json, print_table
from ocrqueue.settings import WorkerSettings, load_worker_settings

_PREFIX = "OCRQUEUE_"


@click.command()
@click.option("--changed", is_flag=True, help="Only settings that differ from their default.")
@json_option
def config(changed: bool, as_json: bool) -> None:
    """Show the settings in effect.

    They come from OCRQUEUE_* variables, then from .env in this folder. Passwords are masked; `*` marks values that
    differ from the default. With --json, one object: name -> value, default and changed.
    """
    settings = load_worker_settings()
    values = settings.masked()
    defaults = WorkerSettings.model_construct().masked()
    differs = {name for name in values if getattr(settings, name) != _default(name)}
    shown = [name for name in values if name in differs or not changed]
    if as_json:
        print_json(
            {name: {"value": values[name], "default": defaults[name], "changed": name in differs} for name in shown}
        )
    else:
        print_table(
            ["variable", "", "value~", "default~"],
            (
                [
                    _PREFIX + name.upper(),
                    "*" if name in differs else "",
                    Text(one_line(values[name]), style="bold" if name in differs else ""),
                    defaults[name] if name in differs else "",
                ]
                for name in shown
            ),
        )


def _default(name: str) -> object:
    return WorkerSettings.model_fields[name].get_default(call_default_factory=True)
