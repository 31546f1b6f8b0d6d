"""From what an app hands over to a Job: references pass through, paths and bytes are uploaded first."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypedDict

from pydantic import SecretStr, ValidationError

from ocrqueue.errors import JobMalformed, SourceNotFound, SourcePathNotAllowed
from ocrqueue.job import CropMode, ExistingText, Job, describe_validation_error
from ocrqueue.job.names import Priority
from ocrqueue.job.references import is_reference
from ocrqueue.settings import Settings
from ocrqueue.storage import Storage

ImageInput = str | Path | bytes | Job
"""A URI, a local path, the bytes of an image file, or a whole Job."""


class JobFields(TypedDict, total=False):
    """What a job is given beside its image: fields of Job. None: the default."""

    id: str | None
    engine: str | None
    fallback: Sequence[str] | None
    compare: Sequence[str] | None
    languages: Sequence[str] | str | None
    options: Mapping[str, Any] | None
    crops: CropMode | None
    crop_padding: int | None
    pages: str | None
    password: str | SecretStr | None
    existing_text: ExistingText | None
    dpi: int | None
    truncated: Literal["refuse", "read"] | None
    time_limit_s: int | None
    cache: bool | None
    priority: Priority | None
    tenant: str | None
    tag: str | None
    batch: str | None
    idempotency_key: str | None
    reply_to: str | None
    submitted_at: datetime | None


Announce = Callable[[str, str], bool]
"""Says that a job will refer to an uploaded image: its name, and the job's id. False while that is being removed."""

_PAUSE_S: Final = 0.05
_FRESH_S: Final = 86_400.0
"""An image that was stored longer ago is stored anew: rules of the bucket go by its age."""

_EXTENSIONS: Final = (
    (b"%PDF-", "pdf"),
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
    announce: Announce,
    fields: JobFields,
) -> Job:
    """The Job for `image`, with `fields` of Job and the settings' defaults, as `prepare` makes it ready.

    Raises JobMalformed, SourceNotFound for a path that is not there, what `prepare` raises, or storage at the upload.
    """
    if isinstance(image, Job):
        if fields:
            raise JobMalformed("A Job is submitted as it is; it takes no further fields.")
        # it may have been submitted before: its id counts as given
        return prepare(image.model_copy(update={"id": image.id}))
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    defaults: dict[str, Any] = {"languages": settings.default_languages}
    if not given.get("compare"):
        defaults["engine"] = settings.default_engine
    if isinstance(given.get("languages"), str):
        given["languages"] = tuple(given["languages"].split("+"))
    # checked before the upload, so that a bad job uploads nothing
    job = prepare(_validated({**defaults, **given, "image": "file:///"}))
    reference = _reference(image, storage, lambda name: announce(name, job.id))
    return job.model_copy(update={"image": _validated({"image": reference}).image})


def several(images: Iterable[ImageInput], fields: JobFields) -> Iterator[ImageInput]:
    """The images of a call. Raises JobMalformed for one image in their place, and if only one can have `fields`."""
    if isinstance(images, str | bytes | Path | Job):
        raise JobMalformed("submit_many takes several images.", remedy="Put the image into a list, or use submit().")
    return _one_for_each(images, [name for name in ("id", "idempotency_key") if fields.get(name) is not None])


def _one_for_each(images: Iterable[ImageInput], single: Sequence[str]) -> Iterator[ImageInput]:
    for number, image in enumerate(images):
        if number and single:
            raise JobMalformed(
                f"Several images cannot share one {single[0]}: they would be one job.",
                remedy=f"Give each its own: submit a Job with {single[0]} for each image.",
            )
        yield image


def _validated(fields: dict[str, Any]) -> Job:
    try:
        return Job.model_validate(fields)
    except ValidationError as error:
        complaints = describe_validation_error(error)
    raise JobMalformed(complaints)  # see parse_job


def _reference(image: str | Path | bytes, storage: Callable[[], Storage], announce: Callable[[str], bool]) -> str:
    if isinstance(image, str) and is_reference(image):
        return image
    return upload(image if isinstance(image, bytes) else _read(Path(image)), storage(), announce)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, ValueError):
        raise SourceNotFound(f"There is no file {path}.") from None
    except OSError as error:
        raise SourcePathNotAllowed(
            f"Cannot read {path}: {error.strerror}.", remedy="Check the file's permissions."
        ) from None


def upload(data: bytes, storage: Storage, announce: Callable[[str], bool] | None = None) -> str:
    """Store image bytes under their content's hash, once; returns their URI.

    `announce`: see Announce, for the job that will refer to it. Without, it stays an hour, unless a job does.
    """
    name = f"{hashlib.sha256(data).hexdigest()}.{_extension(data)}"
    while announce is not None and not announce(name):
        time.sleep(_PAUSE_S)  # whoever removes it has some seconds for that, and not more than minutes
    key = f"inputs/{name}"
    stored_at = storage.modified_at(key)
    if stored_at is not None and time.time() - stored_at < _FRESH_S:
        return storage.uri(key)
    return storage.put(key, data, "application/octet-stream")


def _extension(data: bytes) -> str:
    """By the first bytes, for people who look into the bucket; workers look at the content themselves."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((extension for start, extension in _EXTENSIONS if data.startswith(start)), "bin")
