"""Documents on stdout and in files."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import click

from ocrqueue.cli.failures import Failures, foreseen
from ocrqueue.cli.output import one_line, say
from ocrqueue.document import Document
from ocrqueue.document.formats import written_pieces
from ocrqueue.document.formats.files import file_name, page_numbers, write_file
from ocrqueue.document.written_file import written_file
from ocrqueue.errors import OutputMissing, SourceInvalid
from ocrqueue.job.names import NEEDS_IMAGE, OUTPUTS
from ocrqueue.job.references import is_reference, reference_path

if TYPE_CHECKING:
    from ocrqueue.document.formats.page_image import ImageFile

FORMAT: Final = click.Choice(sorted(OUTPUTS))

Picture = Callable[[], "ImageFile"]
"""Gets the file that was read, which the formats that show it need."""

_UNSAFE: Final = re.compile(r"[^\w.,+=@ -]+")
_LONGEST_NAME: Final = 150
"""Bytes; file systems allow 255 with what is appended."""


def safe_name(text: str, longest: int = _LONGEST_NAME) -> str:
    """`text` as part of a file name: letters and digits of any script stay, all else that could harm becomes `_`.

    It has no `/`, no control character, no dot or blank at its ends, at most `longest` bytes in UTF-8. May be empty.
    """
    cleaned = _UNSAFE.sub("_", text.encode("utf-8", "replace").decode())
    return cleaned.encode()[:longest].decode(errors="ignore").strip(". ")


def file_stems(images: Sequence[str]) -> list[str]:
    """NAME for each image, by its own name. Where two would be the same, all of their name: `a.jpg` and `a.png`; and
    where those are, too, `NAME-2`."""
    stems = [_stem(image) for image in images]
    times = Counter(map(str.casefold, stems))
    return _distinct(
        [stem if times[stem.casefold()] == 1 else _whole_name(image) for stem, image in zip(stems, images, strict=True)]
    )


def _stem(image: str) -> str:
    return safe_name(PurePosixPath(_path(image)).stem) or "image"


def _whole_name(image: str) -> str:
    return safe_name(PurePosixPath(_path(image)).name) or "image"


def _path(image: str) -> str:
    try:
        return reference_path(image) if is_reference(image) else image
    except SourceInvalid:
        return ""


def _distinct(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    distinct = []
    for given in names:
        name, count = given, 1
        # without regard to case: some file systems have none
        while name.casefold() in taken:
            count += 1
            name = f"{given}-{count}"
        taken.add(name.casefold())
        distinct.append(name)
    return distinct


def stored_formats(document: Document) -> list[str]:
    """Those of the files that the job has stored. Raises OutputMissing where there are none."""
    if not document.outputs:
        raise OutputMissing("The job has stored no files beside its result.")
    return list(dict.fromkeys(output.format for output in document.outputs if output.format in OUTPUTS))


def write_documents(
    document: Document, formats: Iterable[str], folder: Path, stem: str, picture: Picture, failures: Failures
) -> list[Path]:
    """NAME.<ext> in the folder for each format; the files written. What goes wrong with one is among `failures`."""
    written: list[Path] = []
    for name in formats:
        path = folder / file_name(stem, name)
        with failures.of(str(path)):
            written += write_document(document, name, path, picture)
    return written


def write_document(document: Document, format_name: str, path: Path, picture: Picture) -> list[Path]:
    """What is stored in this format, or else is written now; the files written. The folder is made where it is missing.

    PAGE XML of several pages becomes a file for each: NAME-p001.xml and so on. A file that was there before is replaced
    by a whole one, or by none. Raises OcrQueueError and OSError only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {output.page: output for output in document.outputs if output.format == format_name}
    written = []
    for number in page_numbers(document, format_name):
        file = path if number is None else _page_path(path, number)
        if number in stored:
            stored[number].save(file)
        else:
            with foreseen(), written_file(file) as target:
                write_file(document, format_name, target, picture, number=number)
        written.append(file)
    return written


def _page_path(path: Path, number: int) -> Path:
    stem, dot, endings = path.name.partition(".")
    return path.with_name(f"{stem}-p{number:03d}{dot}{endings}")


def print_document(document: Document, format_name: str, picture: Picture, title: str = "") -> None:
    """On stdout; text under `==> title <==` if a title is given.

    Text follows the terminal's encoding; the other formats are defined in UTF-8 and keep it in a pipe or file.
    """
    if format_name in NEEDS_IMAGE and sys.stdout.isatty():
        raise click.UsageError(f"{format_name} is not for a terminal: give --output, or a pipe.")
    if format_name == "text" or sys.stdout.isatty():
        header = f"==> {one_line(title)} <==\n" if title else ""
        click.echo(header, nl=False)
        for text in written_pieces(document, format_name):
            click.echo(text, nl=False)
        return
    sys.stdout.flush()
    stored = next((output for output in document.outputs if (output.format, output.page) == (format_name, None)), None)
    if stored is not None:
        for piece in stored.pieces():
            sys.stdout.buffer.write(piece)
    elif format_name in NEEDS_IMAGE:
        write_file(document, format_name, sys.stdout.buffer, picture)
    else:
        for text in written_pieces(document, format_name):
            sys.stdout.buffer.write(text.encode("utf-8", "replace"))


def say_page_errors(document: Document, subject: str) -> None:
    """A warning on stderr for each page that could not be read, and for all that was wrong with the file."""
    for found in document.warnings:
        where = "" if found.page is None else f"page {found.page}: "
        say(f"warning: {subject}: {where}{found.code}: {found.message}")
    for number, error in document.failed_pages.items():
        say(f"warning: {subject}: page {number}: {error.code}: {error.message} {error.remedy}")
