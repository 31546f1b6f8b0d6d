"""Options that say which jobs are meant, the same for every command that takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast, get_args

import click

from ocrqueue.cli.output import moment, print_json, say, say_error
from ocrqueue.core import State
from ocrqueue.core.bulk import BulkResult, NamedResult
from ocrqueue.core.job_filter import NO_NAME, Wanted
from ocrqueue.waiting.progress import progress_bar

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
STATES: Final = tuple(state for state in get_args(State) if state != "unknown")
_OPTIONS: Final = ("tag", "tenant", "batch", "state", "code", "since")
Act = Callable[..., BulkResult]


class Since(click.ParamType[datetime]):
    """An age such as 90m, 12h or 7d, or a time as in RFC 3339."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if age := _AGE.fullmatch(value):
                return datetime.now(UTC) - timedelta(seconds=float(age[1]) * _SECONDS[age[2]])
            # as UTC: not every time of the first and last years is one in every zone
            return datetime.fromisoformat(value).astimezone(UTC)
        except OverflowError:
            self.fail(f"{value!r} is too long ago for any job.", param)
        except ValueError:
            self.fail(f"{value!r} is neither an age such as 12h or 7d, nor a time such as 2026-05-01T12:00.", param)


def filter_options(*, states: bool) -> Callable[[Any], Any]:
    """--tag, --tenant, --batch, --code, --since, and --state where `states`."""

    def decorate(command: Any) -> Any:
        options = [
            click.option("--tag", metavar="TEXT", help="Jobs with this tag."),
            click.option("--tenant", metavar="NAME", help=f"Jobs of this tenant; {NO_NAME} for those without one."),
            click.option(
                "--batch",
                metavar="NAME",
                help="Jobs of this batch of the tenant. Without --tenant: a batch of jobs without a tenant.",
            ),
            *([_state_option] if states else []),
            click.option("--code", metavar="CODE", help="Jobs that failed with this error, such as language.missing."),
            click.option(
                "--since",
                type=Since(),
                metavar="TIME",
                help="Jobs that ended since then or, if they have not ended, were submitted since then: 90m, 12h, 7d, "
                "or 2026-05-01T12:00.",
            ),
        ]
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_state_option = click.option(
    "--state",
    type=click.Choice(STATES),
    multiple=True,
    metavar="STATE",
    help=f"Jobs in this state: {', '.join(STATES)}. Repeatable.",
)


def described(what: Mapping[str, Any]) -> str:
    """A filter as JobFilter.to_message() and the audit have it, as people give it; "" for one that means all jobs."""
    shown = dict(what)
    if "code" in shown:
        shown.pop("states", None)
    if "states" in shown:
        shown["state"] = " or ".join(sorted(shown.pop("states")))
    if shown.get("tenant") == "":
        shown["tenant"] = NO_NAME
    if "since" in shown:
        with suppress(ValueError):
            shown["since"] = moment(datetime.fromisoformat(str(shown["since"])))
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def bulk_options(command: Any) -> Any:
    command = click.option("--dry-run", is_flag=True, help="Count the jobs, and change nothing.")(command)
    return click.option("--all", "all_jobs", is_flag=True, help="All jobs, if no filter is given.")(command)


def wanted(given: dict[str, Any]) -> Wanted:
    """The filter in a command's options, which leave `given`."""
    taken = {name: given.pop(name, None) for name in _OPTIONS}
    return cast("Wanted", {name: value for name, value in taken.items() if value is not None and value != ()})


def check_choice(ids: Sequence[str], asked: Wanted, *, all_jobs: bool, dry_run: bool) -> None:
    """Jobs are meant either by their ids or by what they are. Raises click.UsageError."""
    if bool(ids) == (bool(asked) or all_jobs):
        raise click.UsageError("Give ids, or filters, or --all.")
    if ids and dry_run:
        raise click.UsageError("--dry-run needs filters, or --all.")


def act(action: Act, asked: Wanted, done: str, *, all_jobs: bool, dry_run: bool, as_json: bool) -> BulkResult:
    """Do it, with a progress bar where there is a terminal, and print what came of it. `done`: as in `3 jobs done`."""
    if dry_run:
        result = action(**asked, all_jobs=all_jobs, dry_run=True)
    else:
        with _progress(action, asked, all_jobs=all_jobs) as on_progress:
            result = action(**asked, all_jobs=all_jobs, on_progress=on_progress)
    if as_json:
        print_json(
            {
                "done": done,
                "jobs": result.jobs,
                "still_running": result.still_running,
                "left_in_storage": result.left_in_storage,
                "dry_run": result.dry_run,
            }
        )
    else:
        jobs = f"{result.jobs} job{'' if result.jobs == 1 else 's'}"
        click.echo(f"{jobs} would be {done}" if dry_run else f"{jobs} {done}")
        if result.still_running:
            say(f"{_jobs(result.still_running)} still running; the same command deletes them later")
    say_left_in_storage(result)
    return result


def say_left_in_storage(result: BulkResult | NamedResult) -> None:
    if result.left_in_storage:
        if result.storage_error:
            say_error(result.storage_error)
        say(
            f"{_jobs(result.left_in_storage)} deleted and in storage still, by this command or others before;"
            " a worker removes that within minutes, or `ocrqueue reconcile`"
        )


def _jobs(count: int) -> str:
    return "1 job is" if count == 1 else f"{count} jobs are"


@contextmanager
def _progress(action: Act, asked: Wanted, *, all_jobs: bool) -> Iterator[Callable[[int], None] | None]:
    bar = progress_bar()
    if bar is None:
        yield None
        return
    with bar:
        task = bar.add_task("counting", total=None, counted="jobs")
        total = action(**asked, all_jobs=all_jobs, dry_run=True).jobs
        bar.update(task, description="working", total=total)
        yield lambda done: bar.update(task, completed=done)
