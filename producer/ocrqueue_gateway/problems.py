"""Errors as RFC 9457 has them: application/problem+json, made of ocrqueue.errors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import Scope

from ocrqueue.errors import (
    ErrorInfo,
    JobUnknown,
    OcrQueueError,
    RequestInvalid,
    RequestMethodNotAllowed,
    RequestNotFound,
    error_classes,
    error_for_clients,
    error_info,
)
from ocrqueue_gateway.settings import GatewaySettings

MEDIA_TYPE: Final = "application/problem+json"
OPERATOR: Final = "ocrqueue_operator"
"""In the scope of a request: whether its caller runs the installation, and is told all of an error."""

STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "action.too_many": 429,
        "action.unknown": 404,
        "batch.closed": 409,
        "batch.unknown": 404,
        "broker.connections_exhausted": 503,
        "broker.not_replicated": 503,
        "broker.unavailable": 503,
        "client.closed": 503,
        "crop.missing": 404,
        "event.refused": 403,
        "event.unverifiable": 503,
        "job.cancelled": 409,
        "job.deleted": 410,
        "job.ended": 410,
        "job.not_failed": 409,
        "job.not_finished": 409,
        "job.unknown": 404,
        "job.wait_timeout": 503,
        "job.deletion_pending": 503,
        "key.attempts_exceeded": 429,
        "key.expired": 401,
        "key.forbidden": 403,
        "key.invalid": 401,
        "key.missing": 401,
        "key.rate_exceeded": 429,
        "key.signature_expired": 401,
        "key.signature_wrong": 401,
        "key.unknown": 404,
        "output.missing": 404,
        "page.not_found": 404,
        "pdf.damaged": 422,
        "pdf.output_failed": 422,
        "pdf.password_required": 422,
        "picture.unavailable": 404,
        "queue.full": 503,
        "request.extra_missing": 501,
        "request.headers_too_large": 431,
        "request.host": 400,
        "request.cut_off": 400,
        "request.in_progress": 409,
        "request.method_not_allowed": 405,
        "request.not_found": 404,
        "request.too_large": 413,
        "request.too_slow": 408,
        "request.media_type": 415,
        "request.unsupported": 501,
        "storage.credentials": 503,
        "storage.denied": 503,
        "storage.not_found": 410,
        "storage.unavailable": 503,
        "tenant.limited": 429,
        "upload.no_room": 503,
        "upload.unsupported": 409,
        "worker.unknown": 404,
    }
)
"""By code, where it is not by the family."""
_FAMILIES: Final[Mapping[str, int]] = MappingProxyType({"internal": 500, "settings": 500, "pdf": 500, "result": 500})
"""By the part of the code before the dot; all others are what the caller has asked for: 422."""
_UNREAD: Final = frozenset({"request.headers_too_large", "request.media_type", "request.too_large", "request.too_slow"})
"""After which a body is left that nobody reads: the connection is closed with it."""
_RETRY_AFTER_S: Final = 5
"""Where nothing better is known."""
_OF_CONTENT: Final = frozenset({"content-length", "content-type"})


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "https://ocrqueue.readthedocs.io/en/stable/errors.html#job.unknown",
                "title": "No job has this id: it was never submitted, or its record has expired.",
                "status": 404,
                "detail": "No job 0198c0de-0000-7000-8000-000000000000.",
                "code": "job.unknown",
                "remedy": JobUnknown.remedy,
                "retryable": False,
            }
        }
    )

    type: str = Field(description="The code's place in the documentation.")
    title: str = Field(description="What the code means: the same for all its problems.")
    status: int = Field(description="The status of this response.")
    detail: str = Field(description="What happened this time.")
    code: str = Field(description="For programs; it never changes its meaning.")
    remedy: str = Field(description="For people: what helps.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    details: dict[str, JsonValue] | None = Field(default=None, description="Of some codes: numbers and names.")


class JobHasNoResult(Exception):
    """Asked for the result of a job that has failed: the problem is the job's own error."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.code)
        self.info = info


def status_of(code: str) -> int:
    """The HTTP status of an error."""
    return STATUSES.get(code, _FAMILIES.get(code.partition(".")[0], HTTPStatus.UNPROCESSABLE_ENTITY))


def problem_of(info: ErrorInfo, errors_url: str, status: int | None = None) -> Problem:
    return Problem(
        type=f"{errors_url}#{info.code}",
        title=_title(info),
        status=status_of(info.code) if status is None else status,
        detail=info.message,
        code=info.code,
        remedy=info.remedy,
        retryable=info.retryable,
        details=info.details or None,
    )


def problem_response(
    info: ErrorInfo, settings: GatewaySettings, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    problem = problem_of(info, settings.errors_url, status)
    more = dict(headers or {})
    if info.code in _UNREAD:
        more["connection"] = "close"
    if problem.status in (429, 503):
        more.setdefault("retry-after", str(retry_after_s(info)))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        more.setdefault("www-authenticate", _challenge(info))
    return JSONResponse(
        problem.model_dump(mode="json", exclude_none=True), problem.status, headers=more, media_type=MEDIA_TYPE
    )


def told_to(scope: Scope, info: ErrorInfo) -> ErrorInfo:
    """The error as the request's caller is told of it; who has no right key is no operator."""
    return info if scope.get(OPERATOR) else error_for_clients(info)


ErrorForm = Callable[[Scope, ErrorInfo, int, Mapping[str, str]], Response]
"""A response to a request that tells of an error, by its HTTP status and with these headers."""


def answer_errors(app: FastAPI, speaks: Callable[[Scope], bool], form: ErrorForm) -> None:
    """Requests of which `speaks` is true hear of errors in a form of their own, whoever raises them."""
    _forms_of(app).append((speaks, form))


def error_response(
    scope: Scope,
    info: ErrorInfo,
    settings: GatewaySettings,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem, or what the request's own protocol has in its place."""
    info = told_to(scope, info)
    made = problem_response(info, settings, status, headers)
    for speaks, form in _forms_of(scope["app"]):
        if speaks(scope):
            more = {name: value for name, value in made.headers.items() if name not in _OF_CONTENT}
            return form(scope, info, made.status_code, more)
    return made


def _forms_of(app: FastAPI) -> list[tuple[Callable[[Scope], bool], ErrorForm]]:
    if not hasattr(app.state, "error_forms"):
        app.state.error_forms = []
    forms: list[tuple[Callable[[Scope], bool], ErrorForm]] = app.state.error_forms
    return forms


def _challenge(info: ErrorInfo) -> str:
    """As RFC 6750 has it: an error only of a key that came."""
    return 'Bearer realm="ocrqueue"' + ("" if info.code == "key.missing" else ', error="invalid_token"')


def _title(info: ErrorInfo) -> str:
    cls = error_classes().get(info.code)
    return (cls.__doc__ or "").strip().splitlines()[0] if cls is not None else info.code


def retry_after_s(info: ErrorInfo) -> int:
    """Of an error that passes: whole seconds after which to ask again."""
    told = info.details.get("retry_after_s")
    return max(1, math.ceil(told)) if isinstance(told, int | float) else _RETRY_AFTER_S


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI: a problem with each of these statuses."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}
        for status in statuses
    }


_REFERENCE: Final = {"$ref": "#/components/schemas/Problem"}
_LOG: Final = logging.getLogger("ocrqueue_gateway")


def add_problem_handlers(app: FastAPI, settings: GatewaySettings) -> None:
    """Whatever a route raises is answered as a problem."""

    @app.exception_handler(OcrQueueError)
    async def of_ocrqueue(request: Request, error: OcrQueueError) -> Response:
        return error_response(request.scope, error.info, settings)

    @app.exception_handler(JobHasNoResult)
    async def of_a_failed_job(request: Request, error: JobHasNoResult) -> Response:
        return error_response(request.scope, error.info, settings, HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, error: RequestValidationError) -> Response:
        # without the values, which may be secret or huge
        complaints = [f"{'.'.join(map(str, each['loc']))[:80]}: {each['msg']}" for each in error.errors()[:3]]
        return error_response(request.scope, RequestInvalid("; ".join(complaints) + ".").info, settings)

    @app.exception_handler(HTTPException)
    async def of_starlette(request: Request, error: HTTPException) -> Response:
        made = _of_status(error.status_code, request)
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
            headers = {"allow": ", ".join(methods)}
        return error_response(request.scope, made.info, settings, error.status_code, headers)

    @app.exception_handler(Exception)
    async def of_middleware(request: Request, error: Exception) -> Response:
        # what a route raises ends in `hardening.unforeseen`
        return unforeseen(request.scope, error, settings)


def unforeseen(scope: Scope, error: Exception, settings: GatewaySettings) -> Response:
    """Told to the log; the caller learns no more than that it was."""
    _LOG.error("%s %s", scope["method"][:20], scope["path"][:200], exc_info=error)
    return error_response(scope, error_info(error), settings, HTTPStatus.INTERNAL_SERVER_ERROR)


def _methods(request: Request) -> list[str]:
    """Of all routes at this path; Starlette tells those of one."""
    paths: Mapping[str, Mapping[str, object]] = request.app.openapi()["paths"]
    there = (each for path, each in paths.items() if compile_path(path)[0].match(request.url.path))
    return sorted({method.upper() for each in there for method in each})


def _of_status(status: int, request: Request) -> OcrQueueError:
    path = request.url.path[:120]
    match status:
        case HTTPStatus.NOT_FOUND:
            return RequestNotFound(f"There is nothing at {path}.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return RequestMethodNotAllowed(f"{request.method[:20]} cannot be asked of {path}.")
    return RequestInvalid(HTTPStatus(status).phrase)
