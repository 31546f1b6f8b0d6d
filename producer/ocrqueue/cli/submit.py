"""`ocrqueue submit`."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast, get_args

import click
from click.shell_completion import CompletionItem

from ocrqueue.cli.arriving import arriving_lines
from ocrqueue.cli.documents import FORMAT, file_stems, print_document, say_page_errors, write_documents
from ocrqueue.cli.durations import SECONDS, Seconds
from ocrqueue.cli.exit_codes import exit_of_states
from ocrqueue.cli.failures import Failures
from ocrqueue.cli.inputs import expand_images, parse_options, parse_options_by_engine, split_languages, split_names
from ocrqueue.cli.job_options import (
    ENGINE_OPTION,
    FALLBACK_OPTION,
    LANGUAGES_OPTION,
    OPTIONS_OPTION,
    OUTPUTS_OPTION,
    PRIORITY_OPTION,
    TENANT_OPTION,
)
from ocrqueue.cli.jobs import print_statuses, say_failures
from ocrqueue.cli.output import json_option, print_json, print_table, say
from ocrqueue.cli.pictures import PASSWORD_OPTION, password_in, picture_getter
from ocrqueue.cli.waiting import wait_for
from ocrqueue.client import OcrQueue, SubmittedJob, submit_as_read
from ocrqueue.core import JobStatus
from ocrqueue.document import Document
from ocrqueue.errors import QueueFull
from ocrqueue.job import PREPARATION_STEPS, CropMode, ExistingText
from ocrqueue.job.names import AUTO
from ocrqueue.job.references import is_reference, redact_uri
from ocrqueue.settings import load_client_settings
from ocrqueue.submitting.submission import JobFields, Waiting
from ocrqueue.tracing import submission_span


@dataclass(frozen=True)
class Submission:
    """The jobs of one call: ids and what the user called the images, position by position."""

    ids: list[str]
    names: list[str]


@dataclass(frozen=True)
class Sending:
    """How jobs go to their queue."""

    wait_for_room: float = 0
    close_batch: bool = False


@dataclass(frozen=True)
class Wanted:
    """What to do after submitting."""

    wait: bool
    timeout: float | None
    format_name: str | None
    folder: Path | None
    as_json: bool
    password: str | None = field(default=None, repr=False)
    """Opens the images that are encrypted PDFs."""


def _complete_image(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", shell_complete=_complete_image)
@ENGINE_OPTION
@FALLBACK_OPTION
@click.option("--compare", multiple=True, metavar="ENGINE", help="Engines that each read the image: a,b or repeated.")
@LANGUAGES_OPTION
@OPTIONS_OPTION
@click.option("--crops", type=click.Choice(get_args(CropMode)), help="Pictures of the words.  [default: archive]")
@click.option("--crop-padding", type=click.IntRange(0, 256), metavar="PIXELS", help="Margin in crops.  [default: 2]")
@PRIORITY_OPTION
@TENANT_OPTION
@click.option("--tag", help="Free text of your own, kept with the job.")
@click.option("--batch", metavar="NAME", help="Put the jobs into this batch of the tenant: `ocrqueue batch` shows it.")
@click.option("--close", "close_batch", is_flag=True, help="Close the batch when all jobs are queued.")
@click.option("--idempotency-key", metavar="KEY", help="Submissions with the same key are one job. One image only.")
@click.option("--reply-to", metavar="QUEUE", help="Celery queue that gets a message when the job has ended.")
@click.option("--webhook", metavar="URL", help="URL that gets the job's summary, signed, when the job has ended.")
@click.option(
    "--time-limit",
    "time_limit_s",
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    help="End a job as engine.timeout after this time.  [default: the engine's limit]",
)
@OUTPUTS_OPTION
@click.option(
    "--dpi",
    type=click.IntRange(50, 1200),
    help="Resolution at which pages of a PDF are drawn, except scans.  [default: 300]",
)
@click.option(
    "--existing-text",
    type=click.Choice(get_args(ExistingText)),
    help="If a PDF holds text already: read the page anyway, use the text, or use it if it is sound.  "
    "[default: read_anyway]",
)
@click.option("--pages", metavar="RANGES", help="Pages of a document, such as 1-3,7,10-.  [default: all]")
@PASSWORD_OPTION
@click.option(
    "--truncated",
    type=click.Choice(["refuse", "read"]),
    help="If a page is cut off: refuse it, or read what is there.  [default: refuse]",
)
@click.option(
    "--prepare",
    metavar="STEPS",
    callback=lambda _context, _option, value: _preparation(value),
    help=f"auto, none, always, or some of these steps, with commas: {', '.join(PREPARATION_STEPS)}.  [default: auto]",
)
@click.option("--no-cache", is_flag=True, help="Read the image even if the same image was read before.")
@click.option(
    "--wait-for-room",
    type=Seconds(min=0),
    default=0,
    metavar="SECONDS",
    help="While the queue is full, wait up to this long for room; inf: for as long as it takes.",
)
@click.option("--wait", "-w", is_flag=True, help="Wait until the jobs have ended.")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Give up waiting after this time. Implies --wait.")
@click.option("--format", "-f", "format_name", type=FORMAT, help="Print what was read. Implies --wait.")
@click.option(
    "--output-dir",
    "-O",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write what was read to NAME.EXT in this folder. Implies --wait.",
)
@json_option
@click.pass_context
def submit(context: click.Context, /, images: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Queue images and documents.

    IMAGE is a path, a glob in quotes, or a reference: s3://bucket/key, gs://bucket/key, https://host/path,
    file:///path. `-` reads paths and references from stdin, one a line.

    Prints the job ids in order, one a line, or on a terminal as a table. With --json, one object a line: id and image,
    or with --wait, the status of each job when it ends.
    """
    wanted = Wanted(
        wait=given.pop("wait"),
        timeout=given.pop("timeout"),
        format_name=given.pop("format_name"),
        folder=given.pop("output_dir"),
        password=password_in(given.pop("password_file")),
        as_json=as_json,
    )
    if as_json and wanted.format_name and wanted.folder is None:
        raise click.UsageError("--json and --format both print to stdout; choose one, or give --output-dir.")
    sending = Sending(given.pop("wait_for_room"), given.pop("close_batch"))
    fields = job_fields(**given, password=wanted.password)
    if sending.close_batch and fields["batch"] is None:
        raise click.UsageError("--close goes with --batch.")
    names = expand_images(images, arriving_lines(sys.stdin))
    if fields["idempotency_key"] is not None:
        names = _only_one(names, "--idempotency-key makes all submissions one job: give one image.")
    if wanted.format_name not in {None, "text", "json"} and wanted.folder is None:
        names = _only_one(names, f"Several images cannot be one {wanted.format_name} file: give --output-dir.")
    with OcrQueue() as queue:
        _say_unattended(queue, fields["fallback"] or ())
        if not (wanted.wait or wanted.timeout is not None or wanted.format_name or wanted.folder):
            _submit_only(queue, names, fields, sending, as_json)
            return
        submission = submit_all(queue, names, fields, sending)
        failures = Failures()
        ended = _follow(queue, submission, wanted, fields["outputs"] or (), failures)
    context.exit(failures.exit_status(exit_of_states(status.state for status in ended)))


def _say_unattended(queue: OcrQueue, fallback: Sequence[str]) -> None:
    """Of engines that are asked only if the first has doubts: whoever would be skipped is named before."""
    if not fallback:
        return
    for status in queue.engine_statuses():
        if status.name in fallback and not status.workers and status.name not in queue.settings.engines_on_demand:
            say(
                f"{status.name} has no live worker: it is skipped, unless one is there when its turn comes; "
                f"start one: ocrqueue-worker --engine {status.name}"
            )


def _preparation(value: str | None) -> str | list[str] | None:
    """The value of the option --prepare."""
    if value is None or value in ("auto", "none", "always"):
        return value
    steps = [step.strip() for step in value.split(",")]
    if unknown := [step for step in steps if step not in PREPARATION_STEPS]:
        raise click.BadParameter(f"{unknown[0]!r} is not one of auto, none, always, {', '.join(PREPARATION_STEPS)}.")
    return steps


def job_fields(
    *,
    engine: str | None,
    fallback: tuple[str, ...],
    compare: tuple[str, ...],
    languages: tuple[str, ...],
    options: tuple[str, ...],
    outputs: tuple[str, ...],
    no_cache: bool,
    **same: Any,
) -> dict[str, Any]:
    """Fields of Job from the command line's; those not given are None."""
    chain, compared = split_names(fallback), split_names(compare)
    by_engine = bool(chain or compared) or (engine or load_client_settings().default_engine) == AUTO
    return {
        **same,
        "engine": engine,
        "fallback": chain,
        "compare": compared,
        "languages": split_languages(languages),
        "options": (parse_options_by_engine if by_engine else parse_options)(options) or None,
        "outputs": split_names(outputs),
        "cache": False if no_cache else None,
    }


def _only_one(names: Iterable[str | Waiting], complaint: str) -> Iterator[str | Waiting]:
    first = list(islice((name for name in names if not isinstance(name, Waiting)), 2))
    if len(first) > 1:
        raise click.UsageError(complaint)
    return iter(first)


def submit_names(
    queue: OcrQueue, names: Iterator[str | Waiting], fields: dict[str, Any], sending: Sending
) -> Iterator[tuple[str, str]]:
    """Submit as `names` are read; yields id and name, redacted, once they are queued. Raises as submit_many."""
    shown: deque[str] = deque()
    submitted: list[SubmittedJob] = []
    given = cast("JobFields", {name: value for name, value in fields.items() if value is not None})
    try:
        with submission_span(queue.settings, submitted):
            for job in submit_as_read(queue, _noted(names, shown), sending.wait_for_room, given, _say_full):
                submitted.append(job)
                yield job.id, shown.popleft()
    except QueueFull as full:
        if full.not_replicated is not None:
            say(f"warning: {full.not_replicated.message}")
        raise
    if sending.close_batch:
        queue.batch(fields["batch"], tenant=fields["tenant"] or "").close()


def _noted(names: Iterator[str | Waiting], shown: deque[str]) -> Iterator[str | Waiting]:
    for name in names:
        if not isinstance(name, Waiting):
            shown.append(shown_name(name))
        yield name


def _say_full(full: QueueFull) -> None:
    say(f"waiting for room: {full.message}")


def shown_name(image: str) -> str:
    """What stands for the image in output: a reference without its secrets."""
    return redact_uri(image) if is_reference(image) else image


def submit_all(queue: OcrQueue, names: Iterator[str | Waiting], fields: dict[str, Any], sending: Sending) -> Submission:
    """Submit all. If an error ends it, the ids that are queued by then go to stderr: nothing else knows them."""
    submission = Submission([], [])
    try:
        for job_id, name in submit_names(queue, names, fields, sending):
            submission.ids.append(job_id)
            submission.names.append(name)
    except (Exception, KeyboardInterrupt):
        for job_id in submission.ids:
            say(f"queued before the error: {job_id}")
        raise
    return submission


def _submit_only(
    queue: OcrQueue, names: Iterator[str | Waiting], fields: dict[str, Any], sending: Sending, as_json: bool
) -> None:
    pairs = submit_names(queue, names, fields, sending)
    if as_json:
        for job_id, name in pairs:
            print_json({"id": job_id, "image": name})
    elif sys.stdout.isatty():
        print_table(["job", "image~"], pairs)
    else:
        for job_id, _ in pairs:
            click.echo(job_id)


def _follow(
    queue: OcrQueue, submission: Submission, wanted: Wanted, outputs: Sequence[str], failures: Failures
) -> list[JobStatus]:
    """Wait, and hand out what was asked for; the final statuses in the order of the submission."""
    names = dict(zip(submission.ids, submission.names, strict=True))
    format_name = wanted.format_name or "text"
    formats = [wanted.format_name] if wanted.format_name else outputs or ["text"]
    stems = dict(zip(submission.ids, file_stems(submission.names), strict=True))

    partial: list[tuple[Document, str]] = []

    def on_end(status: JobStatus) -> None:
        record: dict[str, object] = {"source": names[status.id], **status.model_dump(mode="json")}
        if wanted.folder is not None and status.state in {"succeeded", "partial"}:
            before, written = len(failures.told), list[Path]()
            with failures.of(names[status.id]):
                document = queue.document(status)
                picture = picture_getter(queue, status.id, document, password=wanted.password)
                written = write_documents(document, formats, wanted.folder, stems[status.id], picture, failures)
                if status.state == "partial":
                    partial.append((document, names[status.id]))
            record["output"] = str(written[0]) if len(written) == 1 else list(map(str, written))
            if not_written := failures.told[before:]:
                record["output_errors"] = not_written
        if wanted.as_json:
            print_json(record)

    found = wait_for(queue, submission.ids, wanted.timeout, on_end=on_end, progress=not wanted.as_json)
    ended = [found[job_id] for job_id in submission.ids]
    if wanted.format_name and wanted.folder is None:
        _print_documents(queue, ended, submission.names, format_name, wanted.password, failures)
    elif not wanted.as_json:
        print_statuses(ended, submission.names)
    for document, name in partial:
        say_page_errors(document, name)
    say_failures(ended, submission.names)
    return ended


def _print_documents(
    queue: OcrQueue,
    ended: list[JobStatus],
    names: list[str],
    format_name: str,
    password: str | None,
    failures: Failures,
) -> None:
    for status, name in zip(ended, names, strict=True):
        if status.state not in {"succeeded", "partial"}:
            continue
        with failures.of(name):
            document = queue.document(status)
            title = name if len(ended) > 1 else ""
            picture = picture_getter(queue, status.id, document, password=password)
            print_document(document, format_name, picture, title)
            say_page_errors(document, name)
