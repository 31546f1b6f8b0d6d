"""The picture that a job has read, for commands that show it or write it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from ocrqueue.cli.output import say
from ocrqueue.client import OcrQueue, registry_of
from ocrqueue.document import Document
from ocrqueue.errors import SourceInvalid, SourceNotFound
from ocrqueue.job.references import redact_uri
from ocrqueue.storage.files import file_uri_path

if TYPE_CHECKING:
    from ocrqueue.document.formats.page_image import ImageFile

IMAGE_OPTION: Final = click.option(
    "--image",
    "local_image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The picture that was read, if it is neither in storage nor a file:// of this machine.",
)

PASSWORD_OPTION: Final = click.option(
    "--password-file",
    type=click.File("r"),
    metavar="FILE",
    help="File with the password of an encrypted PDF; - is stdin. A line break at its end does not count.",
)


def password_in(file: TextIO | None) -> str | None:
    return None if file is None else file.read().rstrip("\r\n")


def picture_read(queue: OcrQueue, job_id: str, document: Document, local_image: Path | None = None) -> bytes:
    """The bytes that the job read. Raises SourceInvalid where they are others, and as original_picture does."""
    picture = local_image.read_bytes() if local_image else original_picture(queue, job_id, document)
    if document.input.sha256 is None:
        say("warning: the engine fetched the picture itself, so this may be a different one")
        return picture
    if hashlib.sha256(picture).hexdigest() != document.input.sha256:
        raise SourceInvalid(
            "This is not the picture that the job read: its SHA-256 differs.",
            remedy="Give the unchanged file as --image.",
        )
    return picture


def picture_getter(
    queue: OcrQueue,
    job_id: str,
    document: Document,
    local_image: Path | None = None,
    *,
    password: str | None = None,
) -> Callable[[], ImageFile]:
    """picture_read for those who may not need it, as a file; `password` opens it."""

    def get() -> ImageFile:
        from ocrqueue.document.formats.page_image import ImageFile

        return ImageFile(picture_read(queue, job_id, document, local_image), password=lambda: password)

    return get


def original_picture(queue: OcrQueue, job_id: str, document: Document) -> bytes:
    """The bytes of the image that the job read, where this machine can get at them without the workers' rights.

    Raises SourceNotFound, which names the remedy, or what storage raises.
    """
    (job,) = registry_of(queue).jobs([job_id])
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
