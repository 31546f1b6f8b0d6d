"""`ocrqueue overlay`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

import click

from ocrqueue.cli.documents import safe_name, say_page_errors
from ocrqueue.cli.exit_codes import exit_of_states
from ocrqueue.cli.failures import Failures, foreseen
from ocrqueue.cli.output import json_option, print_json, say
from ocrqueue.cli.pictures import IMAGE_OPTION, PASSWORD_OPTION, password_in, picture_read
from ocrqueue.cli.results import finished_document
from ocrqueue.client import OcrQueue
from ocrqueue.document import Document
from ocrqueue.document.written_file import write_whole, written_file
from ocrqueue.errors import PageNotFound


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--output",
    "-O",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; its ending gives the format.  [default: ID-overlay.png]",
)
@click.option("--page", type=click.IntRange(min=1), metavar="N", help="Draw this page only.  [default: all]")
@IMAGE_OPTION
@PASSWORD_OPTION
@json_option
@click.pass_context
def overlay(
    context: click.Context,
    job_id: str,
    output: Path | None,
    page: int | None,
    local_image: Path | None,
    password_file: TextIO | None,
    as_json: bool,
) -> None:
    """Draw the words on the picture that was read.

    If there are several pages, each becomes a file of its own, NAME-p001.png and so on. A file that ends in .html or
    .pdf has all pages. With --json, one object a line: page and file.
    """
    from ocrqueue.document.formats.overlay import draw_overlay, open_page

    target = output or Path(f"{safe_name(job_id)}-overlay.png")
    picture_format = _picture_format(target)
    with OcrQueue() as queue:
        document = finished_document(context, queue, job_id)
        picture = picture_read(queue, job_id, document, local_image)
    if page is not None and page not in document.page_numbers:
        raise PageNotFound(f"The job has no page {page}; it has {len(document.pages)}.")
    if target.suffix.lower() in _WHOLE:
        shown = document if page is None else _only(document, page)
        target.parent.mkdir(parents=True, exist_ok=True)
        with foreseen():
            write_whole(target, _WHOLE[target.suffix.lower()](shown, picture, password_in(password_file)))
        if as_json:
            print_json({"page": page, "file": str(target)})
        else:
            say(f"{target}")
        say_page_errors(document, job_id)
        context.exit(exit_of_states([document.status]))
    failures = Failures()
    readable = [number for number in document.page_numbers if number not in document.failed_pages]
    for number in readable if page is None else [page]:
        is_alone = page is not None or len(document.pages) == 1
        path = target if is_alone else _page_file(target, number)
        with foreseen() if is_alone else failures.of(str(path)):
            picture_of_page = open_page(picture, number, max_pixels=queue.settings.image_max_pixels)
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = draw_overlay(document, picture_of_page, number)
            with written_file(path) as file:
                drawn.save(file, picture_format)
            if as_json:
                print_json({"page": number, "file": str(path)})
            else:
                say(f"page {number}: {path}")
    say_page_errors(document, job_id)
    context.exit(failures.exit_status(exit_of_states([document.status])))


def _html(document: Document, picture: bytes, _password: str | None) -> bytes:
    return document.to_overlay_html(picture).encode("utf-8", "replace")


def _pdf(document: Document, picture: bytes, password: str | None) -> bytes:
    return document.to_overlay_pdf(picture, password=password)


def _only(document: Document, number: int) -> Document:
    return document.with_pages([document.page(number)])


_WHOLE: Final[dict[str, Callable[[Document, bytes, str | None], bytes]]] = {".html": _html, ".pdf": _pdf}
"""What holds all pages in one file."""


def _picture_format(path: Path) -> str | None:
    """By the ending, what Pillow calls it; None for what holds all pages."""
    if path.suffix.lower() in _WHOLE:
        return None
    from PIL import Image

    # reading the extensions loads Pillow's plugins, which know what they can write
    format_name = Image.registered_extensions().get(path.suffix.lower())
    if format_name not in Image.SAVE:
        raise click.UsageError(f"{path.name!r} does not have the ending of a picture that can be written: try .png.")
    return format_name


def _page_file(target: Path, number: int) -> Path:
    return target.with_name(f"{target.stem}-p{number:03d}{target.suffix}")
