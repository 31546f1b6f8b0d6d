"""From what an app hands over to a Job: references pass through, paths and bytes are uploaded first."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar

from pydantic import SecretStr, ValidationError

from ocrqueue.errors import JobMalformed
from ocrqueue.job import CropMode, ExistingText, Job, PreparationStep, describe_validation_error
from ocrqueue.job.names import OutputFormat, Priority
from ocrqueue.storage import Storage
from ocrqueue.submitting.image_input import HashedFile, ImageInput, content_of, is_single, name_of

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

Image = TypeVar("Image")


class JobFields(TypedDict, total=False):
    """The fields of a Job besides its image. None: the default."""

    id: str | None
    engine: str | None
    fallback: Sequence[str] | None
    compare: Sequence[str] | None
    languages: Sequence[str] | str | None
    options: Mapping[str, Any] | None
    crops: CropMode | None
    crop_padding: int | None
    outputs: Sequence[OutputFormat] | None
    pages: str | None
    password: str | SecretStr | None
    existing_text: ExistingText | None
    dpi: int | None
    truncated: Literal["refuse", "read"] | None
    prepare: Literal["auto", "none", "always"] | Sequence[PreparationStep] | None
    time_limit_s: int | None
    cache: bool | None
    priority: Priority | None
    tenant: str | None
    tag: str | None
    name: str | None
    batch: str | None
    idempotency_key: str | None
    reply_to: str | None
    webhook: str | None
    submitted_at: datetime | None


Announce = Callable[[str, str], bool]
"""Announce that a job will refer to an uploaded image, by its name and the job's id.

False while it is being removed.
"""

_PAUSE_S: Final = 0.05
_FRESH_S: Final = 86_400.0
"""An image that was stored longer ago is stored again: rules of the bucket go by its age."""

_EXTENSIONS: Final = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
)


class Waiting:
    """In the place of an image: there is none now, and more may come."""


WAITING: Final = Waiting()


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is checked; its image may still have to be uploaded."""

    job: Job
    content: Callable[[], bytes | HashedFile] | None = None
    """Reads what is to be uploaded. None: the job has its reference."""


def begin_job(image: ImageInput, settings: ClientSettings, prepare: Callable[[Job], Job], fields: JobFields) -> Draft:
    """The job for `image`, with `fields` of Job and the settings' defaults, as `prepare` makes it ready.

    Raises JobMalformed, and what `prepare` raises: a bad job uploads nothing.
    """
    if isinstance(image, Job):
        if fields:
            raise JobMalformed("A Job is submitted as it is; it takes no further fields.")
        # it may have been submitted before: its id counts as given
        return Draft(prepare(image.model_copy(update={"id": image.id})))
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    defaults: dict[str, Any] = {"languages": settings.default_languages}
    if not given.get("compare"):
        defaults["engine"] = settings.default_engine
    if isinstance(given.get("languages"), str):
        given["languages"] = tuple(given["languages"].split("+"))
    content = content_of(image)
    if content is not None and "name" not in given:
        given["name"] = name_of(image)
    job = prepare(_validated({**defaults, **given, "image": image if content is None else "file:///"}))
    return Draft(job, content)


def finish_job(draft: Draft, storage: Callable[[], Storage], announce: Announce) -> Job:
    """The job with the reference to its image, which is uploaded. Raises SourceNotFound, or what storage raises."""
    if draft.content is None:
        return draft.job
    data = draft.content()
    reference = upload(data, storage(), lambda name: announce(name, draft.job.id))
    return draft.job.model_copy(update={"image": _validated({"image": reference}).image})


def is_one(images: object) -> bool:
    """Whether they are a list of one image."""
    return isinstance(images, Sequence) and len(images) == 1


def may_block(images: object) -> bool:
    """Whether the next image may be long in coming."""
    return not isinstance(images, Collection)


def several(images: Iterable[Image], fields: JobFields) -> Iterator[Image]:
    """The images of a call. Raises JobMalformed for one image in their place, and if only one can have `fields`."""
    if is_single(images):
        raise JobMalformed("submit_many takes several images.", remedy="Put the image into a list, or use submit().")
    single = _for_one_only(fields)
    return iter(images) if single is None else _only_one(iter(images), single)


async def several_async(images: AsyncIterable[Image], fields: JobFields) -> AsyncIterator[Image]:
    """The same."""
    single = _for_one_only(fields)
    kept: list[Image] = []
    async for image in images:
        if single is None:
            yield image
        elif kept:
            raise _would_be_one_job(single)
        else:
            kept.append(image)
    for image in kept:
        yield image


def _for_one_only(fields: JobFields) -> str | None:
    return next((name for name in ("id", "idempotency_key") if fields.get(name) is not None), None)


def _only_one(images: Iterator[Image], name: str) -> Iterator[Image]:
    """The image, once it is known that no other follows."""
    first = list(islice((image for image in images if not isinstance(image, Waiting)), 2))
    if len(first) > 1:
        raise _would_be_one_job(name)
    return iter(first)


def _would_be_one_job(name: str) -> JobMalformed:
    return JobMalformed(
        f"Several images cannot share one {name}: they would be one job.",
        remedy=f"Give each its own: submit a Job with {name} for each image.",
    )


def _validated(fields: dict[str, Any]) -> Job:
    try:
        return Job.model_validate(fields)
    except ValidationError as error:
        complaints = describe_validation_error(error, Job.model_fields)
    raise JobMalformed(complaints)  # see parse_job


def upload(data: bytes | HashedFile, storage: Storage, announce: Callable[[str], bool] | None = None) -> str:
    """Store image bytes under their content's hash, once; returns their URI.

    `announce`: see Announce, for the job that will refer to it. Without, it stays an hour, unless a job does.
    """
    if isinstance(data, HashedFile):
        name = f"{data.sha256}.{_extension(data.start())}"
    else:
        name = f"{hashlib.sha256(data).hexdigest()}.{_extension(data)}"
    while announce is not None and not announce(name):
        time.sleep(_PAUSE_S)  # whoever removes it has some seconds for that, and not more than minutes
    key = f"inputs/{name}"
    stored_at = storage.modified_at(key)
    if stored_at is not None and time.time() - stored_at < _FRESH_S:
        return storage.uri(key)
    if isinstance(data, HashedFile):
        return storage.put_file(key, data.file, "application/octet-stream")
    return storage.put(key, data, "application/octet-stream")


def _extension(data: bytes) -> str:
    """By the first bytes, for people who look into the bucket; workers look at the content themselves."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((extension for start, extension in _EXTENSIONS if data.startswith(start)), "bin")
