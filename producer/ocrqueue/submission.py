"""From what an app hands over to a Job: references pass through, paths and bytes are uploaded first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ocrqueue.errors import JobMalformed, SourceNotFound, SourcePathNotAllowed
from ocrqueue.job import Job, describe_validation_error
from ocrqueue.job.references import is_reference
from ocrqueue.settings import Settings
from ocrqueue.storage import Storage

ImageInput = str | Path | bytes | Job
"""A URI, a local path, the bytes of an image file, or a whole Job."""

_EXTENSIONS: Final = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
)


def build_job(
    image: ImageInput,
    settings: Settings,
    storage: Callable[[], Storage],
    prepare: Callable[[Job], Job],
    fields: dict[str, Any],
) -> Job:
    """The Job for `image`, with `fields` of Job and the settings' defaults, as `prepare` makes it ready.

    Raises JobMalformed, SourceNotFound for a path that is not there, what `prepare` raises, or storage at the upload.
    """
    if isinstance(image, Job):
        if fields:
            raise JobMalformed("A Job is submitted as it is; it takes no further fields.")
        return prepare(image)
    given = {name: value for name, value in fields.items() if value is not None}
    defaults: dict[str, Any] = {"languages": settings.default_languages}
    if not given.get("compare"):
        defaults["engine"] = settings.default_engine
    if isinstance(given.get("languages"), str):
        given["languages"] = tuple(given["languages"].split("+"))
    # checked before the upload, so that a bad job uploads nothing
    job = prepare(_validated({**defaults, **given, "image": "file:///"}))
    return job.model_copy(update={"image": _validated({"image": _reference(image, storage)}).image})


def _validated(fields: dict[str, Any]) -> Job:
    try:
        return Job.model_validate(fields)
    except ValidationError as error:
        complaints = describe_validation_error(error)
    raise JobMalformed(complaints)  # see parse_job


def _reference(image: str | Path | bytes, storage: Callable[[], Storage]) -> str:
    if isinstance(image, str) and is_reference(image):
        return image
    return upload(image if isinstance(image, bytes) else _read(Path(image)), storage())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, ValueError):
        raise SourceNotFound(f"There is no file {path}.") from None
    except OSError as error:
        raise SourcePathNotAllowed(
            f"Cannot read {path}: {error.strerror}.", remedy="Check the file's permissions."
        ) from None


def upload(data: bytes, storage: Storage) -> str:
    """Store image bytes under their content's hash, once; returns their URI."""
    key = f"inputs/{hashlib.sha256(data).hexdigest()}.{_extension(data)}"
    return storage.uri(key) if storage.exists(key) else storage.put(key, data, "application/octet-stream")


def _extension(data: bytes) -> str:
    """By the first bytes, for people who look into the bucket; workers look at the content themselves."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((extension for start, extension in _EXTENSIONS if data.startswith(start)), "bin")
