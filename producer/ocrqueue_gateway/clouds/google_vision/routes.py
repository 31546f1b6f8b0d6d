"""REST: https://cloud.google.com/vision/docs/reference/rest, version v1."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from ocrqueue.errors import ProtocolExtraMissing
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.clouds.google_vision.asking import Call
from ocrqueue_gateway.clouds.google_vision.statuses import rest_error
from ocrqueue_gateway.clouds.json_files import json_with_files
from ocrqueue_gateway.clouds.mounting import below, mount

router = APIRouter()
_PARENTS: Final = ("", "/projects/{project}", "/projects/{project}/locations/{location}")
_OPERATIONS: Final = (*_PARENTS, "/locations/{location}")
_JSON: Final = "application/json; charset=UTF-8"

Submitting = Annotated[Caller, Depends(require("submit"))]


def add_google_vision(app: FastAPI) -> None:
    """Its routes, below the native API's prefix, as Google has them; gRPC is the lifespan's.

    Raises ProtocolExtraMissing where gRPC is asked for and cannot be served.
    """
    if app.state.settings.grpc_port is not None:
        _imported()
    speaks = below("/v1/images:", "/v1/files:", "/v1/operations", "/v1/projects/", "/v1/locations/")
    mount(app, router, speaks, rest_error)


async def annotate_images(request: Request, caller: Submitting) -> Response:
    return await _answered(request, caller, "ImagesRequest", lambda google: google.calls.annotate_images)


async def annotate_files(request: Request, caller: Submitting) -> Response:
    return await _answered(request, caller, "FilesRequest", lambda google: google.calls.annotate_files)


async def start_images(request: Request, caller: Submitting) -> Response:
    return await _answered(request, caller, "AsyncImagesRequest", lambda google: google.operations.start_images)


async def start_files(request: Request, caller: Submitting) -> Response:
    return await _answered(request, caller, "AsyncFilesRequest", lambda google: google.operations.start_files)


async def operation(request: Request, caller: Annotated[Caller, Depends(require("read"))], name: str) -> Response:
    google = await _google()
    found = await google.operations.operation(Call(request, caller), name)
    return _json(google.messages.operation_json(found, numbers=_wants_numbers(request)))


async def cancel(request: Request, caller: Annotated[Caller, Depends(require("cancel"))], name: str) -> Response:
    google = await _google()
    await google.operations.cancel(Call(request, caller), name)
    return _json(b"{}")


async def delete(request: Request, caller: Annotated[Caller, Depends(require("cancel"))], name: str) -> Response:
    google = await _google()
    await google.operations.delete(Call(request, caller), name)
    return _json(b"{}")


def _add(method: str, places: Sequence[str], path: str, endpoint: Callable[..., Awaitable[Response]]) -> None:
    for place in places:
        router.add_api_route(f"/v1{place}/{path}", endpoint, methods=[method], response_model=None)


_add("POST", _PARENTS, "images:annotate", annotate_images)
_add("POST", _PARENTS, "files:annotate", annotate_files)
_add("POST", _PARENTS, "images:asyncBatchAnnotate", start_images)
_add("POST", _PARENTS, "files:asyncBatchAnnotate", start_files)
_add("POST", _OPERATIONS, "operations/{name}:cancel", cancel)
_add("GET", _OPERATIONS, "operations/{name}", operation)
_add("DELETE", _OPERATIONS, "operations/{name}", delete)


async def _answered(
    request: Request, caller: Caller, kind: str, which: Callable[[Any], Callable[[Call, Any], Awaitable[Any]]]
) -> Response:
    google = await _google()
    numbers = _wants_numbers(request)
    async with json_with_files(request) as body:
        # a body that is all fields takes a second
        message = await asyncio.to_thread(google.messages.parsed, body.value, getattr(google.messages, kind))
        if (place := request.path_params.get("project")) is not None and not message.parent:
            region = request.path_params.get("location")
            message.parent = f"projects/{place}" + (f"/locations/{region}" if region else "")
        # where bytes are expected, JSON has their base64: so has what stands in their place
        files = {base64.urlsafe_b64decode(token): file for token, file in body.files.items()}
        answer = await which(google)(Call(request, caller, files), message)
    if isinstance(answer, dict):
        return _json(await asyncio.to_thread(google.messages.as_json, answer, numbers=numbers))
    return _json(google.messages.operation_json(answer, numbers=numbers))


async def _google() -> Any:
    """What is built on Google's own classes, which take a third of a second to import."""
    return await asyncio.to_thread(_imported)


def _imported() -> Any:
    try:
        from ocrqueue_gateway.clouds.google_vision import calls, messages, operations
    except ImportError as error:
        raise ProtocolExtraMissing(f"google-cloud-vision cannot be imported: {error}.") from None
    return SimpleNamespace(calls=calls, messages=messages, operations=operations)


def _json(data: bytes) -> Response:
    return Response(data, media_type=_JSON)


def _wants_numbers(request: Request) -> bool:
    """Whether enums are to be numbers: Google's own clients ask for it."""
    return "enum-encoding=int" in request.query_params.get("$alt", "")
