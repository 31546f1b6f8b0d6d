"""`ocrqueue result`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO

import click

from ocrqueue.cli.documents import (
    FORMAT,
    print_document,
    safe_name,
    say_page_errors,
    stored_formats,
    write_document,
    write_documents,
)
from ocrqueue.cli.exit_codes import ExitStatus, exit_of_states
from ocrqueue.cli.failures import Failures
from ocrqueue.cli.inputs import expand_ids
from ocrqueue.cli.output import json_option, print_json, say, say_error
from ocrqueue.cli.pictures import IMAGE_OPTION, PASSWORD_OPTION, password_in, picture_getter
from ocrqueue.client import OcrQueue
from ocrqueue.document import Document
from ocrqueue.errors import ErrorInfo, JobCancelled, JobNotFinished, JobUnknown, StorageNotFound


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--format", "-f", "format_name", type=FORMAT, help="What to print.  [default: text]")
@click.option("--output", "-O", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead.")
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the files that the job has stored in other formats to this folder, as ID.EXT. With --format: this "
    "format only.",
)
@IMAGE_OPTION
@PASSWORD_OPTION
@json_option
@click.pass_context
def result(
    context: click.Context,
    job_id: str,
    format_name: str | None,
    output: Path | None,
    output_dir: Path | None,
    local_image: Path | None,
    password_file: TextIO | None,
    as_json: bool,
) -> None:
    """Print what was read.

    `-` reads ids from stdin, and goes on after a job that has no result. `pdf` is searchable: it shows the picture that
    was read, with the words as invisible text. `page` makes a file for each page. If the job has stored a file in the
    format, the command takes that file.

    --json is short for --format json, and also prints errors as JSON.
    """
    if as_json and format_name not in {None, "json"}:
        raise click.UsageError("--json prints JSON; leave it out, or leave --format out.")
    if output is not None and output_dir is not None:
        raise click.UsageError("--output names one file, --output-dir a folder: give one of them.")
    job_ids = expand_ids([job_id], sys.stdin)
    if len(job_ids) > 1 and (output is not None or local_image is not None):
        raise click.UsageError("--output and --image are of one job: give --output-dir.")
    if len(job_ids) > 1 and output_dir is None and format_name not in {None, "text", "json"}:
        raise click.UsageError(f"Files of {format_name} cannot be printed one after the other: give --output-dir.")
    wanted = "json" if as_json else format_name or "text"
    password, states, failures = password_in(password_file), list[str](), Failures()
    with OcrQueue() as queue:
        for each, document in _finished_documents(context, queue, job_ids, states):
            picture = picture_getter(queue, each, document, local_image, password=password)
            # of several, one costs no other
            with failures.of(each) if len(job_ids) > 1 else nullcontext():
                if output_dir is not None:
                    formats = [wanted] if as_json or format_name else stored_formats(document)
                    for path in write_documents(document, formats, output_dir, safe_name(each), picture, failures):
                        say(str(path))
                elif output is not None:
                    write_document(document, wanted, output, picture)
                else:
                    print_document(document, wanted, picture, each if len(job_ids) > 1 else "")
            say_page_errors(document, each)
    context.exit(failures.exit_status(exit_of_states(states)))


_STATES: Final[Mapping[type[BaseException], str]] = MappingProxyType(
    {JobUnknown: "unknown", JobNotFinished: "running", JobCancelled: "cancelled"}
)
"""For the exit status, of jobs without a result."""


def _finished_documents(
    context: click.Context, queue: OcrQueue, job_ids: Sequence[str], states: list[str]
) -> Iterator[tuple[str, Document]]:
    """Each with its id; `states` gets what became of each job. Of several, those without a result are told of on
    stderr; one alone ends the command as finished_document() does."""
    for job_id in job_ids:
        try:
            document = finished_document(context, queue, job_id)
        except (click.exceptions.Exit, JobUnknown, JobNotFinished, JobCancelled, StorageNotFound) as stop:
            if len(job_ids) == 1:
                raise
            if not isinstance(stop, click.exceptions.Exit):
                say_error(stop.info, job_id)
            states.append(_STATES.get(type(stop), "failed"))
            continue
        states.append(document.status)
        yield job_id, document


def finished_document(context: click.Context, queue: OcrQueue, job_id: str) -> Document:
    """The job's Document. Ends the command with ExitStatus.FAILED if the job failed.

    Raises JobUnknown, JobNotFinished, JobCancelled, StorageNotFound and what storage raises.
    """
    status = queue.job(job_id).status()
    if status.state == "failed" and status.error is not None:
        fail_of_job(context, status.error)
    return queue.document(status)


def fail_of_job(context: click.Context, error: ErrorInfo) -> None:
    """End the command because of the job's own error, which must not be taken for one of the command's."""
    if context.params.get("as_json"):
        print_json({"error": error.model_dump(mode="json")})
    say_error(error)
    context.exit(ExitStatus.FAILED)
