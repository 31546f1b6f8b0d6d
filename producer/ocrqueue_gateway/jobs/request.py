"""What a caller may ask for: the fields of Job, without those that are the gateway's or another caller's to say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from ocrqueue.errors import JobMalformed, RequestInvalid, SourceInvalid, SourcePathNotAllowed
from ocrqueue.job import Job, describe_validation_error
from ocrqueue.job.references import input_name, is_reference
from ocrqueue.storage import Storage, is_input
from ocrqueue.submitting.submission import JobFields
from ocrqueue_gateway.access.caller import Caller

OWN: Final = frozenset(
    {"schema_version", "id", "image", "tenant", "route", "submitted_at", "idempotency_key", "reply_to"}
)
"""Fields of Job that are not a caller's: an id could be another tenant's, a reply goes into a queue of Celery's."""
_LISTS: Final = {"languages": "+", "outputs": ",", "fallback": ",", "compare": ","}
"""Fields that are lists, and what stands between their items where they are one text."""
_WORDS: Final = ("auto", "none", "always")
_REMEDY: Final = "Compare it with JobRequest in /v1/openapi.json."


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _fields() -> dict[str, Any]:
    return {name: (field.annotation, field) for name, field in Job.model_fields.items() if name not in OWN}


JobOptions: Final[type[BaseModel]] = create_model("JobOptions", __base__=_Fields, **_fields())
"""Beside the file itself."""

JobRequest: Final[type[BaseModel]] = create_model(
    "JobRequest",
    __base__=JobOptions,
    image=(
        str,
        Field(
            min_length=1,
            max_length=4096,
            pattern=r"^(s3|gs|https|http|file)://[^\x00-\x20]",
            description="s3://bucket/key, gs://bucket/object, https://host/path, http://host/path or file:///path, as "
            "far as workers may read it.",
            examples=["https://example.org/scans/receipt.jpg"],
        ),
    ),
)
"""With a reference to the file."""


def parse_json(text: bytes | str, model: type[BaseModel]) -> BaseModel:
    """Raises RequestInvalid for what is no JSON, JobMalformed for all else that is wrong."""
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        is_json = all(each["type"] != "json_invalid" for each in error.errors(include_input=False, include_url=False))
        complaints = describe_validation_error(error, model.model_fields)
    if not is_json:
        raise RequestInvalid("The body is not JSON.")
    raise JobMalformed(complaints, remedy=_REMEDY)


def parse_texts(pairs: Iterable[tuple[str, str]]) -> BaseModel:
    """Fields as query parameters and forms have them: lists as one text or repeated, options as JSON.

    Raises JobMalformed, RequestInvalid.
    """
    given: dict[str, Any] = {}
    for name, text in pairs:
        if name in _LISTS:
            given.setdefault(name, []).extend(filter(None, text.split(_LISTS[name])))
        elif name in given:
            raise JobMalformed(f"{name[:40]} is given twice.", remedy=_REMEDY)
        elif name == "options":
            given[name] = _json(text)
        elif name == "prepare" and text not in _WORDS:
            given[name] = text.split(",")
        else:
            given[name] = text
    try:
        return JobOptions.model_validate(given)
    except ValidationError as error:
        complaints = describe_validation_error(error, JobOptions.model_fields)
    raise JobMalformed(complaints, remedy=_REMEDY)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    raise RequestInvalid("The options are not JSON.")


def fields_of(request: BaseModel, caller: Caller, idempotency_key: str | None = None) -> JobFields:
    """What was given, and the caller's tenant, as AsyncOcrQueue.submit() takes it."""
    given = {name: getattr(request, name) for name in request.model_fields_set if name not in OWN}
    return cast("JobFields", {**given, "tenant": caller.tenant, "idempotency_key": idempotency_key})


def checked_reference(image: str, storage: Storage) -> str:
    """Raises SourceInvalid for a path on the gateway's machine, SourcePathNotAllowed for what others have stored.

    It may ask the file system, and so block.
    """
    if not is_reference(image):
        raise SourceInvalid("The image is no reference.")
    # as the storage writes it, also where its folder is not on this machine; and wherever else it leads
    as_written = storage.owns(image) and input_name(image) is None
    if as_written or not all(map(is_input, storage.keys_behind(image))):
        raise SourcePathNotAllowed(
            "The reference leads to where results are stored.", remedy="Refer to the image, or send it."
        )
    return image
