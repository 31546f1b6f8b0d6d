"""What comes with POST /v1/jobs: a reference in JSON, a form with a file, or the file as the body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any, Final

from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ocrqueue.errors import JobMalformed, RequestCutOff, RequestInvalid, RequestMediaType
from ocrqueue.submitting.image_input import HashedFile, name_of
from ocrqueue_gateway.hardening.bodies import hashed, media_type, read_json, room_errors, spooled
from ocrqueue_gateway.hardening.body_limits import too_large
from ocrqueue_gateway.jobs.request import JobOptions, JobRequest, checked_reference, parse_json, parse_texts

FORM: Final = "multipart/form-data"
BINARY: Final = ("application/octet-stream", "application/pdf")
"""And any type of image."""
OTHER_PARAMETERS: Final = frozenset({"format", "wait"})
"""Of the query, beside the fields of a job."""
_MOST_FIELDS: Final = 64
_LARGEST_FIELD: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """A job's image, and what is asked of it."""

    image: str | HashedFile
    asked: BaseModel


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Received]:
    """A file is kept until the end of the block.

    Raises RequestMediaType, RequestInvalid, RequestTooLarge, RequestCutOff, JobMalformed, SourceInvalid.
    """
    parameters = [pair for pair in request.query_params.multi_items() if pair[0] not in OTHER_PARAMETERS]
    if any(name == "password" for name, _ in parameters):
        raise JobMalformed("A password is no query parameter.", remedy="Send it in a form or in JSON: URLs are logged.")
    asked = parse_texts(parameters)
    kind = media_type(request)
    most: int = request.app.state.settings.max_body_bytes
    if kind == "application/json":
        by_reference: Any = parse_json(await read_json(request), JobRequest)
        image = await asyncio.to_thread(checked_reference, by_reference.image, request.app.state.queue.storage)
        yield Received(image, merged(asked, by_reference))
    elif kind == FORM:
        async with _form(request) as form:
            file, own = await _parts(form, most)
            yield Received(file, merged(asked, own))
    elif kind.startswith("image/") or kind in BINARY:
        async with spooled(request, most, _file_name(request)) as file:
            yield Received(file, asked)
    else:
        raise RequestMediaType(
            "The body is to be application/json with a reference, multipart/form-data with a file, or the file itself "
            "as application/pdf, application/octet-stream or an image."
        )


def merged(first: BaseModel, second: BaseModel) -> BaseModel:
    """The fields of both; where both have one, the second's."""
    if not first.model_fields_set:
        return second
    fields = {name: getattr(each, name) for each in (first, second) for name in each.model_fields_set}
    return type(second).model_construct(_fields_set=set(fields), **fields)


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[FormData]:
    try:
        with room_errors():
            form = await request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LARGEST_FIELD)
    except ClientDisconnect:
        raise RequestCutOff() from None
    except HTTPException as error:  # as Starlette's parser has it
        raise RequestInvalid(f"The form cannot be read: {str(error.detail)[:200]}") from None
    except ValueError:  # of the encoding that it names
        raise RequestInvalid("The form cannot be read: it is not in the charset that it names.") from None
    try:
        yield form
    finally:
        await form.close()


async def _parts(form: FormData, most: int) -> tuple[HashedFile, BaseModel]:
    """The part `file`, and the fields: as JSON in the part `job`, or each as a part of its own."""
    file: UploadFile | None = None
    texts: list[tuple[str, str]] = []
    asked: BaseModel = JobOptions()
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name == "job":
                asked = parse_json(await value.read(_LARGEST_FIELD), JobOptions)
                continue
            if name != "file":
                raise JobMalformed(f"The form has a file called {name[:40]!r}.", remedy="Call the part `file`.")
            file = value
        elif name == "job":
            asked = parse_json(value, JobOptions)
        else:
            texts.append((name, value))
    if file is None:
        raise JobMalformed("The form has no file.", remedy="Send it as the part `file`, with a filename.")
    if (file.size or 0) > most:
        raise too_large(most)
    given = await asyncio.to_thread(hashed, file.file, name_of(file))
    return given, merged(parse_texts(texts), asked)


def _file_name(request: Request) -> str | None:
    """Of a Content-Disposition, if it can be read: it is there for people only."""
    message = Message()
    message["content-disposition"] = request.headers.get("content-disposition", "")
    try:
        name = message.get_filename()
    except (LookupError, ValueError):  # of the encoding that it names
        return None
    return name_of(_Named(name)) if name else None


@dataclass(frozen=True, slots=True)
class _Named:
    filename: str
