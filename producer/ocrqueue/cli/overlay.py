"""`ocrqueue overlay`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from ocrqueue.cli.documents import safe_name, say_page_errors
from ocrqueue.cli.exit_codes import exit_of_states
from ocrqueue.cli.output import json_option, print_json, say
from ocrqueue.cli.results import finished_document
from ocrqueue.client import OcrQueue
from ocrqueue.document import Document
from ocrqueue.errors import PageNotFound, SourceInvalid, SourceNotFound
from ocrqueue.job.references import redact_uri
from ocrqueue.storage.files import file_uri_path


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--output",
    "-O",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; its ending gives the format.  [default: ID-overlay.png]",
)
@click.option("--page", type=click.IntRange(min=1), metavar="N", help="This page only.  [default: all]")
@click.option(
    "--image",
    "local_image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The picture that was read, if it is neither in storage nor a file:// of this machine.",
)
@json_option
@click.pass_context
def overlay(
    context: click.Context,
    job_id: str,
    output: Path | None,
    page: int | None,
    local_image: Path | None,
    as_json: bool,
) -> None:
    """Draw the words on the picture that was read.

    Of several pages each becomes a file of its own, NAME-p001.png and so on. With --json, one object a line: page
    and file.
    """
    from ocrqueue.document.formats.overlay import draw_overlay, open_page

    target = output or Path(f"{safe_name(job_id)}-overlay.png")
    _check_format(target)
    with OcrQueue() as queue:
        document = finished_document(context, queue, job_id)
        picture = local_image.read_bytes() if local_image else original_picture(queue, job_id, document)
        if hashlib.sha256(picture).hexdigest() != document.input.sha256:
            raise SourceInvalid(
                "This is not the picture that the job read: its SHA-256 differs.",
                remedy="Give the unchanged file as --image.",
            )
    if page is not None and page not in {known.number for known in document.pages}:
        raise PageNotFound(f"The job has no page {page}; it has {len(document.pages)}.")
    readable = [known.number for known in document.pages if known.error is None]
    for number in readable if page is None else [page]:
        path = target if page is not None or len(document.pages) == 1 else _page_file(target, number)
        picture_of_page = open_page(picture, number, max_pixels=queue.settings.image_max_pixels)
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_overlay(document, picture_of_page, number).save(path)
        if as_json:
            print_json({"page": number, "file": str(path)})
        else:
            say(f"page {number}: {path}")
    say_page_errors(document, job_id)
    context.exit(exit_of_states([document.status]))


def _check_format(path: Path) -> None:
    from PIL import Image

    # reading the extensions loads Pillow's plugins, which know what they can write
    format_name = Image.registered_extensions().get(path.suffix.lower())
    if format_name not in Image.SAVE:
        raise click.UsageError(f"{path.name!r} does not end as a picture that can be written: try .png.")


def original_picture(queue: OcrQueue, job_id: str, document: Document) -> bytes:
    """The bytes of the image that the job read, where this machine can get at them without the workers' rights.

    Raises SourceNotFound, which names the remedy, or what storage raises.
    """
    (job,) = queue.registry.jobs([job_id])
    # the record alone has the reference with its query; after its end the Document's own does for storage and files
    uri = job.image if job is not None else document.input.uri
    if queue.storage.owns(uri):
        return queue.storage.read_uri(uri)
    if uri.startswith("file://") and (path := Path(file_uri_path(uri))).is_file():
        return path.read_bytes()
    raise SourceNotFound(
        f"The picture {redact_uri(uri)[:200]} is neither in storage nor a file of this machine.",
        remedy="Download it and give it as --image FILE.",
    )


def _page_file(target: Path, number: int) -> Path:
    return target.with_name(f"{target.stem}-p{number:03d}{target.suffix}")
