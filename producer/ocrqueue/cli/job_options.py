"""Options of the commands that submit jobs: what reads them, how, and whose they are."""

from __future__ import annotations

from typing import Final, get_args

import click

from ocrqueue.job.names import Priority

ENGINE_OPTION: Final = click.option(
    "--engine", "-e", help="Engine that reads the image; auto chooses one.  [default: OCRQUEUE_DEFAULT_ENGINE]"
)
FALLBACK_OPTION: Final = click.option(
    "--fallback",
    multiple=True,
    metavar="ENGINE",
    help="Engines that read again what the first is not sure of: a,b or repeated.",
)
LANGUAGES_OPTION: Final = click.option(
    "--language",
    "-l",
    "languages",
    multiple=True,
    metavar="CODE",
    help="Languages of the text, such as kor, or kor+eng. Repeatable.",
)
OPTIONS_OPTION: Final = click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the engine; with several engines or auto ENGINE.KEY=VALUE. Repeatable.",
)
OUTPUTS_OPTION: Final = click.option(
    "--outputs",
    multiple=True,
    metavar="FORMAT",
    help="Store what was read in this format too, beside the result: pdf,alto or repeated.",
)
PRIORITY_OPTION: Final = click.option(
    "--priority", type=click.Choice(get_args(Priority)), help="Lane of the queue.  [default: normal]"
)
TENANT_OPTION: Final = click.option(
    "--tenant", metavar="NAME", help="Tenant of the jobs: tenants share the lanes by weight."
)
