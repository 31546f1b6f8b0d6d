"""`ocrqueue watch`: what arrives in a folder or a bucket is submitted, and moved away."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Any, Final, cast

import click

from ocrqueue.cli.durations import Seconds
from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.job_options import (
    ENGINE_OPTION,
    FALLBACK_OPTION,
    LANGUAGES_OPTION,
    OPTIONS_OPTION,
    OUTPUTS_OPTION,
    PRIORITY_OPTION,
    TENANT_OPTION,
)
from ocrqueue.cli.output import json_option, one_line, print_json
from ocrqueue.cli.submit import job_fields
from ocrqueue.client import OcrQueue
from ocrqueue.settings import ClientSettings
from ocrqueue.submitting.submission import JobFields
from ocrqueue.watching import BucketPlace, Ended, FolderPlace, Place, Watcher

_BUCKET: Final = "s3://"


@click.command()
@click.argument("place", metavar="FOLDER|s3://BUCKET/PREFIX")
@click.option(
    "--move", metavar="PLACE", help="Folder or prefix for files that were read.  [default: done/ in the watched place]"
)
@click.option(
    "--move-failed",
    metavar="PLACE",
    help="Folder or prefix for files that failed, and the reasons.  [default: failed/ beside that of --move]",
)
@click.option("--recursive", "-r", is_flag=True, help="Also watch the folders within the folder.")
@click.option(
    "--interval",
    type=Seconds(0.1, 3600),
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks.",
)
@click.option(
    "--settle",
    type=Seconds(0, 3600),
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="Take a file when it has not changed for this long.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="At most this many jobs at a time.",
)
@click.option("--once", is_flag=True, help="End when no file is left.")
@ENGINE_OPTION
@FALLBACK_OPTION
@LANGUAGES_OPTION
@OPTIONS_OPTION
@OUTPUTS_OPTION
@PRIORITY_OPTION
@TENANT_OPTION
@click.option("--tag", help="Free text of your own, kept with the jobs.")
@click.option("--webhook", metavar="URL", help="URL that gets each job's summary, signed, when the job has ended.")
@json_option
@click.pass_context
def watch(context: click.Context, /, place: str, once: bool, as_json: bool, **given: Any) -> None:
    """Submit files that arrive in a folder or a bucket, and move them away.

    When its job has ended, a file is moved to done/, or to failed/ with the reason beside it. The command goes on until
    SIGTERM or Ctrl-C, through outages. You can kill it at any time: each file is read once. It leaves alone hidden
    files, links and names such as x.part. With --json, one object a line.
    """
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    where = {name: given.pop(name) for name in ("move", "move_failed", "recursive")}
    interval, settle_s, at_once = (given.pop(name) for name in ("interval", "settle", "at_once"))
    fields = job_fields(compare=(), no_cache=False, **given)
    named = cast("JobFields", {name: value for name, value in fields.items() if value is not None})
    failures = 0

    def told(ended: Ended) -> None:
        nonlocal failures
        failures += ended.failure is not None
        _print(ended, as_json=as_json)

    with OcrQueue() as queue:
        looked_at = _place(queue.settings, place, **where)
        watcher = Watcher(queue, looked_at, named, settle_s=settle_s, at_once=at_once, told=told)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: watcher.stop())
        watcher.run(interval, until_empty=once)
    context.exit(ExitStatus.FAILED if once and failures else ExitStatus.OK)


def _place(
    settings: ClientSettings, place: str, *, move: str | None, move_failed: str | None, recursive: bool
) -> Place:
    if place.startswith(_BUCKET):
        done = move or f"{place.rstrip('/')}/done/"
        return BucketPlace(settings, place, done, move_failed or _beside(done, place))
    folder = Path(place)
    if not folder.is_dir():
        raise click.BadParameter(f"{place!r} is no folder, and no s3://bucket/prefix.")
    target = Path(move) if move else folder / "done"
    failed = Path(move_failed) if move_failed else target.parent / "failed"
    return FolderPlace(folder, target, failed, recursive=recursive)


def _beside(done: str, place: str) -> str:
    """A prefix `failed/` in the same place; of a bucket that has nothing but what was read, in what is watched."""
    bucket, _, prefix = done.removeprefix(_BUCKET).strip("/").partition("/")
    above, slash, _ = prefix.rpartition("/")
    return f"{_BUCKET}{bucket}/{above}{slash}failed/" if prefix else f"{place.rstrip('/')}/failed/"


def _print(ended: Ended, *, as_json: bool) -> None:
    if as_json:
        error = ended.failure.model_dump(mode="json") if ended.failure else None
        print_json({"name": ended.name, "id": ended.job_id or None, "error": error})
    elif ended.failure is None:
        click.echo(f"done    {ended.job_id}  {one_line(ended.name)}")
    else:
        why = one_line(f"{ended.failure.code}: {ended.failure.message}")
        click.echo(f"failed  {ended.job_id or '-'}  {one_line(ended.name)}  {why}")
    sys.stdout.flush()
