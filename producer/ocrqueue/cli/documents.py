"""Documents on stdout and in files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import click

from ocrqueue.cli.output import one_line, say
from ocrqueue.document import Document
from ocrqueue.document.formats import FORMATS, render, written_pieces
from ocrqueue.errors import SourceInvalid
from ocrqueue.job.references import is_reference, reference_path

FORMAT: Final = click.Choice(sorted([*FORMATS, "pdf"]))

Picture = Callable[[], bytes]
"""Gets the file that was read, which `pdf` alone needs."""

_EXTENSIONS: Final = {
    **{"text": "txt", "text-layout": "txt", "markdown": "md", "alto": "alto.xml", "page": "page.xml"},
}
_UNSAFE: Final = re.compile(r"[^\w.,+=@ -]+")
_LONGEST_NAME: Final = 150
"""Bytes; file systems allow 255 with what is appended."""


def safe_name(text: str, longest: int = _LONGEST_NAME) -> str:
    """`text` as part of a file name: letters and digits of any script stay, all else that could harm becomes `_`.

    It has no `/`, no control character, no dot or blank at its ends, at most `longest` bytes in UTF-8. May be empty.
    """
    cleaned = _UNSAFE.sub("_", text.encode("utf-8", "replace").decode())
    return cleaned.encode()[:longest].decode(errors="ignore").strip(". ")


def file_names(images: Sequence[str], format_name: str) -> list[str]:
    """NAME.<ext> for each image, by its own name; `NAME-2.<ext>` where two would be the same."""
    return [f"{stem}.{_EXTENSIONS.get(format_name, format_name)}" for stem in _distinct(map(_stem, images))]


def _stem(image: str) -> str:
    try:
        name = reference_path(image) if is_reference(image) else image
    except SourceInvalid:
        name = ""
    return safe_name(PurePosixPath(name).stem) or "image"


def _distinct(stems: Sequence[str] | map[str]) -> list[str]:
    taken: set[str] = set()
    distinct = []
    for stem in stems:
        name, count = stem, 1
        # without regard to case: some file systems have none
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        distinct.append(name)
    return distinct


def write_document(document: Document, format_name: str, path: Path, picture: Picture) -> list[Path]:
    """In UTF-8, whatever the locale; the files written. The folder is made where it is missing.

    PAGE XML of several pages becomes a file for each: NAME-p001.xml and so on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if format_name == "pdf":
        path.write_bytes(document.to_pdf(picture()))
        return [path]
    if format_name == "page" and len(document.pages) != 1:
        return _write_page_files(document, path)
    with path.open("wb") as file:
        for piece in written_pieces(document, format_name):
            file.write(piece.encode("utf-8", "replace"))
    return [path]


def _write_page_files(document: Document, path: Path) -> list[Path]:
    stem, dot, endings = path.name.partition(".")
    written = []
    for page in document.pages:
        file = path.with_name(f"{stem}-p{page.number:03d}{dot}{endings}")
        file.write_bytes(document.to_page(page.number).encode("utf-8", "replace"))
        written.append(file)
    return written


def print_document(document: Document, format_name: str, picture: Picture, title: str = "") -> None:
    """On stdout; text under `==> title <==` if a title is given.

    Text follows the terminal's encoding; the other formats are defined in UTF-8 and keep it in a pipe or file.
    """
    if format_name == "pdf":
        if sys.stdout.isatty():
            raise click.UsageError("A PDF is not for a terminal: give --output, or a pipe.")
        sys.stdout.flush()
        sys.stdout.buffer.write(document.to_pdf(picture()))
    elif format_name == "text" or sys.stdout.isatty():
        header = f"==> {one_line(title)} <==\n" if title else ""
        click.echo(header + render(document, format_name), nl=False)
    else:
        sys.stdout.flush()
        for piece in written_pieces(document, format_name):
            sys.stdout.buffer.write(piece.encode("utf-8", "replace"))


def say_page_errors(document: Document, subject: str) -> None:
    """A warning on stderr for each page that could not be read, and for all that was wrong with the file."""
    for found in document.warnings:
        where = "" if found.page is None else f"page {found.page}: "
        say(f"warning: {subject}: {where}{found.code}: {found.message}")
    for page in document.pages:
        if page.error is not None:
            say(f"warning: {subject}: page {page.number}: {page.error.code}: {page.error.message} {page.error.remedy}")
