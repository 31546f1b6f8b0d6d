"""POST /: what a request is about, its header X-Amz-Target says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, FastAPI
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from ocrqueue.errors import RequestNotFound
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.clouds.json_files import JsonWithFiles
from ocrqueue_gateway.clouds.mounting import mount
from ocrqueue_gateway.clouds.textract.answers import Answer
from ocrqueue_gateway.clouds.textract.detection import begin_detection, detected, get, start
from ocrqueue_gateway.clouds.textract.errors import MEDIA_TYPE, error_response
from ocrqueue_gateway.clouds.textract.signed_body import signed_body

router = APIRouter()

_TARGET: Final = "x-amz-target"
_PREFIX: Final = "Textract."
_DETECT: Final = "DetectDocumentText"
_OTHERS: Final[Mapping[str, Callable[[Request, Caller, JsonWithFiles], Awaitable[Answer]]]] = MappingProxyType(
    {"StartDocumentTextDetection": start, "GetDocumentTextDetection": get}
)


def add_textract(app: FastAPI) -> None:
    """Its route, and its form of errors."""
    mount(app, router, _speaks_textract, error_response)


def _speaks_textract(scope: Scope) -> bool:
    """Of all that is posted to the root, and what goes elsewhere by mistake."""
    if scope["method"] == "POST" and scope["path"] == "/":
        return True
    return any(name == _TARGET.encode() and value.startswith(_PREFIX.encode()) for name, value in scope["headers"])


@router.post("/")
async def textract(request: Request) -> Response:
    """An operation of AWS Textract."""
    async with signed_body(request) as (caller, body):
        name = _operation(request)
        if name != _DETECT:
            return await _response(await _OTHERS[name](request, caller, body))
        reading = await begin_detection(request, caller, body)
    return await _response(await detected(request, reading))


def _operation(request: Request) -> str:
    """Raises RequestNotFound."""
    target = request.headers.get(_TARGET, "")
    name = target.removeprefix(_PREFIX)
    if not target.startswith(_PREFIX) or (name != _DETECT and name not in _OTHERS):
        raise RequestNotFound(
            f"There is no operation {target[:80]} here.",
            remedy=f"There are {', '.join((_DETECT, *_OTHERS))}: text, and no forms, tables or queries.",
        )
    return name


async def _response(answer: Answer) -> Response:
    # a page of a thousand Blocks is half a megabyte
    return Response(await asyncio.to_thread(to_json, answer), media_type=MEDIA_TYPE)
