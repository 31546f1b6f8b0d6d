"""The OpenAPI document: what FastAPI makes of the routes, with the problems that they answer and what they stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from ocrqueue.document import Document
from ocrqueue_gateway.batches.lines import BatchLine
from ocrqueue_gateway.batches.view import BatchResult
from ocrqueue_gateway.jobs.request import JobOptions, JobRequest
from ocrqueue_gateway.jobs.uploads import UploadRequest
from ocrqueue_gateway.operating.actions import ActionRequest
from ocrqueue_gateway.operating.views import PauseRequest
from ocrqueue_gateway.problems import Problem, responses
from ocrqueue_gateway.settings import GatewaySettings

_REFERENCE: Final = "#/components/schemas/{model}"
_STREAMED: Final[Sequence[type[BaseModel]]] = (
    ActionRequest,
    PauseRequest,
    Problem,
    Document,
    BatchLine,
    BatchResult,
    JobOptions,
    JobRequest,
    UploadRequest,
)
"""Models that no signature names: of bodies that routes read themselves, and of answers that they stream."""


def describe(app: FastAPI) -> None:
    """Make the application tell what its responses really are."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
        return app.openapi_schema

    # FastAPI's documentation has it so: https://fastapi.tiangolo.com/how-to/extending-openapi/
    app.openapi = openapi  # type: ignore[method-assign]


def operation_id(route: APIRoute) -> str:
    """What clients that are generated call the operation: `jobs_submit`."""
    return "_".join([*map(str, route.tags[:1]), route.name])


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title, version=app.version, routes=app.routes, openapi_version="3.1.0", description=app.description
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for model in _STREAMED:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        for name, part in {**schema.pop("$defs", {}), model.__name__: schema}.items():
            schemas.setdefault(name, part)
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which problems stand for
        schemas.pop(name, None)
    for operations in made["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                # FastAPI's word on bytes that are no text
                operation["responses"].setdefault("400", responses(400)[400])
            if "security" in operation:
                _say_who_may(operation, app.state.settings)
    return made


def _say_who_may(operation: dict[str, Any], settings: GatewaySettings) -> None:
    """What is answered to a key that will not do; and where none is asked for, that."""
    if settings.is_local or settings.allow_no_keys:
        operation["security"].append({})
    for status, told in responses(401, 403, 429).items():
        operation["responses"].setdefault(str(status), told)
