"""`ocrqueue status`, `wait` and `cancel`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.text import Text

from ocrqueue.cli.durations import SECONDS
from ocrqueue.cli.exit_codes import ExitStatus, exit_of_states
from ocrqueue.cli.filters import act, bulk_options, check_choice, filter_options, wanted
from ocrqueue.cli.inputs import expand_ids
from ocrqueue.cli.output import (
    json_option,
    moment,
    number,
    one_line,
    print_fields,
    print_json,
    print_table,
    say_error,
    state_text,
)
from ocrqueue.cli.waiting import wait_for
from ocrqueue.client import OcrQueue, registry_of
from ocrqueue.core import JobStatus
from ocrqueue.document import Timings
from ocrqueue.errors import ErrorInfo, JobUnknown
from ocrqueue.job.route import Route, Step

_LONGEST_TAG = 60
"""In a list; `status ID` and --json have all of it."""
_CONTENT_HASH = re.compile("^([0-9a-f]{12})[0-9a-f]{52}")


def ids_argument(command: Any) -> Any:
    return click.argument("ids", nargs=-1, required=True, metavar="ID...")(command)


@click.command()
@ids_argument
@json_option
@click.pass_context
def status(context: click.Context, ids: tuple[str, ...], as_json: bool) -> None:
    """Show jobs as they are now.

    `-` reads ids from stdin. With --json, one object a line, in order.
    """
    job_ids = expand_ids(ids, sys.stdin)
    with OcrQueue() as queue:
        found = dict(zip(job_ids, registry_of(queue).statuses(job_ids), strict=True))
        unknown = {job_id: _why_unknown(queue, job_id) for job_id, job in found.items() if job is None}
    if as_json:
        for job_id, job in found.items():
            if job is None:
                _report_unknown(job_id, unknown[job_id], as_json)
            else:
                print_json(job.model_dump(mode="json"))
    elif len(found) == 1 and (only := next(iter(found.values()))) is not None:
        print_status(only)
    elif known := [job for job in found.values() if job is not None]:
        print_statuses(known)
    if not as_json:
        for job_id, error in unknown.items():
            _report_unknown(job_id, error, as_json)
    context.exit(ExitStatus.UNKNOWN if unknown else ExitStatus.OK)


@click.command()
@ids_argument
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Give up after this time.")
@json_option
@click.pass_context
def wait(context: click.Context, ids: tuple[str, ...], timeout: float | None, as_json: bool) -> None:
    """Wait until jobs have ended.

    `-` reads ids from stdin: `ocrqueue submit *.png | ocrqueue wait -`. With --json, one object a line, as they
    end. The exit status says how they ended.
    """
    job_ids = expand_ids(ids, sys.stdin)
    with OcrQueue() as queue:
        found = dict(zip(job_ids, registry_of(queue).statuses(job_ids), strict=True))
        known = [job_id for job_id, job in found.items() if job is not None]
        on_end = (lambda job: print_json(job.model_dump(mode="json"))) if as_json else None
        ended = wait_for(queue, known, timeout, on_end=on_end, progress=not as_json)
        unknown = {job_id: _why_unknown(queue, job_id) for job_id in job_ids if job_id not in ended}
    statuses = [ended[job_id] for job_id in known]
    if statuses and not as_json:
        print_statuses(statuses)
    say_failures(statuses)
    for job_id, error in unknown.items():
        _report_unknown(job_id, error, as_json)
    context.exit(exit_of_states([*(job.state for job in statuses), *("unknown" for _ in unknown)]))


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID...]")
@filter_options(states=True)
@bulk_options
@json_option
@click.pass_context
def cancel(
    context: click.Context, /, ids: tuple[str, ...], all_jobs: bool, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Stop jobs.

    Give ids, or filters. A queued job is cancelled at once. A running job stops at its next step. A job that has ended
    stays as it is. `-` reads ids from stdin. With --json, one object a line: the id, and the state afterwards.
    """
    missing = False
    asked = wanted(given)
    check_choice(ids, asked, all_jobs=all_jobs, dry_run=dry_run)
    with OcrQueue() as queue:
        if not ids:
            act(
                queue.cancel_many,
                asked,
                "cancelled or asked to stop",
                all_jobs=all_jobs,
                dry_run=dry_run,
                as_json=as_json,
            )
            return
        for job_id in expand_ids(ids, sys.stdin):
            try:
                state = queue.job(job_id).cancel()
            except JobUnknown as error:
                missing = True
                _report_unknown(job_id, error.info, as_json)
                continue
            if as_json:
                print_json({"id": job_id, "state": state})
            else:
                click.echo(f"{one_line(job_id)}  {_CANCEL_ANSWERS.get(state, f'had ended before: {state}')}")
    context.exit(ExitStatus.UNKNOWN if missing else ExitStatus.OK)


_CANCEL_ANSWERS = {"cancelled": "cancelled", "running": "running; it stops at its next step"}


def _why_unknown(queue: OcrQueue, job_id: str) -> ErrorInfo:
    """For a job without a record. Redis may still remember that it has ended, or was deleted."""
    return registry_of(queue).why_unknown(job_id).info


def _report_unknown(job_id: str, error: ErrorInfo, as_json: bool) -> None:
    if as_json:
        print_json({"id": job_id, "state": "unknown", "error": error.model_dump(mode="json")})
    say_error(error)


def print_status(job: JobStatus) -> None:
    """One job, a line for each thing known of it."""
    print_fields(_details(job))


def print_statuses(statuses: Iterable[JobStatus], names: Sequence[str] = ()) -> None:
    """A table, one job a row; `names` are what the user called the images, in the same order."""
    rows: list[list[str | Text]] = []
    jobs = list(statuses)
    with_tags = any(job.tag for job in jobs)
    for position, job in enumerate(jobs):
        rows.append(
            [
                job.id,
                _state_and_note(job),
                names[position] if names else image_name(job),
                *([short_tag(job.tag)] if with_tags else []),
                f"{job.pages_done}/{number(job.pages)}",
                number(job.words),
                number(job.mean_confidence, 2),
                number(job.timings.queue_wait_s, 2, " s"),
                number(job.timings.ocr_s, 2, " s") if job.finished else "-",
            ]
        )
    tag = ["tag~"] if with_tags else []
    print_table(["job", "state", "image~", *tag, "pages>", "words>", "conf.>", "waited>", "ocr>"], rows)


def _state_and_note(job: JobStatus) -> Text:
    text = state_text(job.state)
    if job.error is not None:
        text.append(f" ({one_line(job.error.code)})")
    elif job.cached:
        text.append(" (cached)")
    return text


def image_name(job: JobStatus) -> str:
    """What the image is called; an upload of bytes has the hash of its content: a part will do."""
    return job.name or _CONTENT_HASH.sub(r"\1..", job.image.rpartition("/")[2])


def print_list(statuses: Iterable[JobStatus]) -> None:
    """A table of what jobs can be told apart by, one job a row."""
    print_table(
        ["job", "state", "engine", "tag~", "tenant", "submitted"],
        (
            [
                job.id,
                _state_and_note(job),
                job.engine,
                short_tag(job.tag),
                job.tenant or "-",
                moment(job.queued_at),
            ]
            for job in statuses
        ),
    )


def short_tag(tag: str | None) -> str:
    if not tag:
        return "-"
    return tag if len(tag) <= _LONGEST_TAG else f"{tag[: _LONGEST_TAG - 3]}..."


def say_failures(statuses: Iterable[JobStatus], names: Sequence[str] = ()) -> None:
    """One line on stderr for each job that has an error."""
    for position, job in enumerate(statuses):
        if job.finished and job.error is not None:
            say_error(job.error, names[position] if names else job.id)


def _details(job: JobStatus) -> list[tuple[str, str | Text]]:
    state = state_text(job.state)
    if job.cancel_requested and not job.finished:
        state.append(", to be cancelled")
    error = f"{job.error.code}: {job.error.message} {job.error.remedy}" if job.error else ""
    return [
        ("job", job.id),
        ("state", state),
        ("image", job.image),
        ("tenant", job.tenant),
        ("tag", job.tag or ""),
        ("name", job.name or ""),
        ("batch", job.batch or ""),
        ("engine", _engines(job)),
        *(_route(job.route, job.trail, finished=job.finished) if job.route else ()),
        ("queue", job.queue),
        ("queued", moment(job.queued_at)),
        ("started", moment(job.started_at)),
        ("ended", moment(job.finished_at)),
        ("attempts", str(job.attempts)),
        ("worker", job.worker or ""),
        ("device", job.device or ""),
        ("pages", f"{job.pages_done} of {number(job.pages)}" if job.pages is not None or not job.finished else "-"),
        ("words", number(job.words) if job.words is not None else ""),
        ("confidence", number(job.mean_confidence, 3) if job.mean_confidence is not None else ""),
        ("agreement", number(job.agreement, 3) if job.agreement is not None else ""),
        ("cached", "yes: the same image was read before" if job.cached else ""),
        ("times", _times(job.timings)),
        ("result", job.result or ""),
        ("error", Text(one_line(error), style="red")),
    ]


def _engines(job: JobStatus) -> str:
    """All of a comparison; else the one whose turn it is."""
    return ", ".join(job.route.engines) if job.route is not None and job.route.mode == "compare" else job.engine


def _route(route: Route, steps: Sequence[Step], *, finished: bool) -> list[tuple[str, str | Text]]:
    """What was asked and why these engines, then a line for each that has had its turn or has it."""
    order = (" and " if route.mode == "compare" else " -> ").join(route.engines)
    trail = [(f"  {step.engine}", _step(step)) for step in steps]
    if finished and route.mode != "compare":
        had = {step.engine for step in steps}
        trail += [
            (f"  {engine}", "had no turn: not needed, or skipped for want of a live worker")
            for engine in route.engines
            if engine not in had and had
        ]
    turn = [] if finished or len(route.engines) == 1 else [(f"  {route.engine}", "its turn")]
    return [("asked", route.asked), ("route", order), ("why", route.reason), *trail, *turn]


def _step(step: Step) -> str:
    parts = [
        f"{step.pages} pages",
        f"confidence {number(step.mean_confidence, 2)}",
        f"{step.seconds:.2f} s",
        f"{step.pages_sent_on} pages sent on" if step.pages_sent_on else "",
        f"{step.lines_sent_on} lines sent on" if step.lines_sent_on else "",
        step.error or "",
    ]
    return ", ".join(filter(None, parts))


def _times(timings: Timings) -> str:
    named = {
        "waited": timings.queue_wait_s,
        "fetch": timings.fetch_s,
        "decode": timings.decode_s,
        "ocr": timings.ocr_s,
        "crops": timings.crop_s,
        "upload": timings.upload_s,
        "total": timings.total_s,
    }
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in named.items() if seconds)
