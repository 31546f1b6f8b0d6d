"""What an analysis is of: a file in base64 or a URL, in JSON, or the file itself as the body."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.requests import Request

from ocrqueue.errors import OcrQueueError, RequestMediaType
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.clouds.azure_read.errors import refused
from ocrqueue_gateway.clouds.json_files import json_with_files
from ocrqueue_gateway.clouds.rules import CloudRules
from ocrqueue_gateway.hardening.bodies import media_type, spooled

_SOURCES: Final = ("base64Source", "urlSource")
_BINARY: Final = ("application/octet-stream", "application/pdf")
"""And any type of image."""
_LONGEST_URL: Final = 4096


@asynccontextmanager
async def source_of(request: Request, caller: Caller) -> AsyncIterator[str | HashedFile]:
    """A reference, or a file that is kept until the end of the block.

    Raises RequestInvalid, RequestMediaType, RequestTooLarge, RequestTooSlow, RequestCutOff, ImageEmpty, UploadNoRoom,
    SourceInvalid.
    """
    kind = media_type(request)
    if kind == "application/json":
        async with json_with_files(request) as body:
            name, text = _source(body.value)
            yield body.file(text) if name == "base64Source" else _reference(request, caller, text)
    elif kind.startswith("image/") or kind in _BINARY:
        async with spooled(request, request.app.state.settings.max_body_bytes) as file:
            yield file
    else:
        raise RequestMediaType(
            "The body is to be application/json with base64Source or urlSource, or an image or a PDF itself, as "
            "image/*, application/pdf or application/octet-stream."
        )


def _source(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise _no_source("The body is to be a JSON object.")
    given = [(name, value[name]) for name in _SOURCES if value.get(name) is not None]
    if len(given) != 1:
        raise _no_source("Either urlSource or base64Source must be specified, and not both.")
    ((name, text),) = given
    if not isinstance(text, str):
        raise _no_source(f"{name} is to be a text.")
    return name, text


def _no_source(message: str) -> OcrQueueError:
    return refused("InvalidContentSourceFormat", message, 'Send {"base64Source": ...} or {"urlSource": ...}.')


def _reference(request: Request, caller: Caller, url: str) -> str:
    """What a rule says of it, or the URL of a web server itself."""
    rules: CloudRules = request.app.state.cloud_rules
    if (place := rules.readable(url, caller.tenant)) is not None:
        return place
    if not url.startswith(("https://", "http://")) or len(url) > _LONGEST_URL:
        raise refused(
            "InvalidContentSourceFormat",
            "Invalid content source: the URL is no http:// or https:// URL of at most 4096 characters.",
            "Name another, or ask the installation's operator for a rule that maps it.",
        )
    return url
