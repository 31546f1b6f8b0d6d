"""`ocrqueue clean`: what nobody needs any more is removed from storage."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

import click

from ocrqueue.cleaning import LEAST_AGE_S, Amount, Cleaned, Cleaning, lifecycle_rules, results_life_s
from ocrqueue.cli.durations import Duration
from ocrqueue.cli.output import json_option, print_json, say
from ocrqueue.core import Registry
from ocrqueue.settings import ClientSettings, load_client_settings
from ocrqueue.storage import open_storage

_EVERY_S: Final = 5.0


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing, and say what would be removed.")
@click.option(
    "--older-than",
    type=Duration(LEAST_AGE_S),
    metavar="AGE",
    help="Only results that were stored at least this long ago, such as 12h or 30d.  [default: the longer of "
    "OCRQUEUE_RECORD_TTL_S and OCRQUEUE_CACHE_TTL_S]",
)
@click.option("--lifecycle", is_flag=True, help="Only print rules by which an S3 bucket does the same by age.")
@json_option
def clean(dry_run: bool, older_than: int | None, lifecycle: bool, as_json: bool) -> None:
    """Remove files that nobody needs any more from storage.

    These are the files of jobs whose records have expired, and uploaded images to which no record has referred for an
    hour. Jobs may run meanwhile, and several of these commands at once. If it is interrupted, start it again. Run it by
    a timer, about once a day, with credentials that may delete results/ and inputs/. With --json, one object.
    """
    settings = load_client_settings()
    if lifecycle:
        _print_rules(settings)
        return
    with closing(Registry(settings)) as registry:
        age_s = results_life_s(settings) if older_than is None else older_than
        done = Cleaning(registry, open_storage(settings), dry_run, age_s, on_step=_reporter(dry_run)).run()
    if as_json:
        results, inputs = done.results, done.inputs
        print_json(
            {
                "dry_run": dry_run,
                "results": {"jobs": results.count, "objects": results.objects, "bytes": results.size_bytes},
                "inputs": {"objects": inputs.objects, "bytes": inputs.size_bytes},
            }
        )
        return
    for line in _lines(done, dry_run):
        click.echo(line)


def _print_rules(settings: ClientSettings) -> None:
    if not settings.storage.startswith("s3://"):
        raise click.UsageError("--lifecycle is for S3: OCRQUEUE_STORAGE names a folder. Run `ocrqueue clean` there.")
    print_json(lifecycle_rules(settings))


def _reporter(dry_run: bool) -> Callable[[Cleaned], None]:
    """Tells now and then, on stderr, how far it is."""
    due_at = time.monotonic() + _EVERY_S

    def report(done: Cleaned) -> None:
        nonlocal due_at
        if time.monotonic() >= due_at:
            due_at = time.monotonic() + _EVERY_S
            say("so far: " + "; ".join(_lines(done, dry_run)))

    return report


def _lines(done: Cleaned, dry_run: bool) -> list[str]:
    become = "would be removed" if dry_run else "removed"
    return [
        f"results of {done.results.count} jobs  {done.results.objects} objects  {_size(done.results)}  {become}",
        f"{done.inputs.count} uploaded images  {_size(done.inputs)}  {become}",
    ]


def _size(amount: Amount) -> str:
    size, units = float(amount.size_bytes), ["bytes", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
