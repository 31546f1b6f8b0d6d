"""Errors as Google's clients know them: google.rpc.Status, with its codes, and what REST makes of it.

https://cloud.google.com/apis/design/errors. The reason of an ErrorInfo is our code in capitals; `code` and `remedy` are
in its metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from ocrqueue.errors import ErrorInfo, error_for_clients
from ocrqueue_gateway.problems import status_of

DOMAIN: Final = "ocrqueue"


class Code(IntEnum):
    """google.rpc.Code."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


_BY_STATUS: Final[Mapping[int, Code]] = MappingProxyType(
    {
        401: Code.UNAUTHENTICATED,
        403: Code.PERMISSION_DENIED,
        404: Code.NOT_FOUND,
        405: Code.NOT_FOUND,
        408: Code.ABORTED,
        409: Code.ABORTED,
        410: Code.NOT_FOUND,
        429: Code.RESOURCE_EXHAUSTED,
        500: Code.INTERNAL,
        501: Code.UNIMPLEMENTED,
        503: Code.UNAVAILABLE,
    }
)
"""By the HTTP status of our own problems; all others are the request's fault."""
_BY_CODE: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "engine.image_refused": Code.INVALID_ARGUMENT,
        "engine.timeout": Code.DEADLINE_EXCEEDED,
        "job.cancelled": Code.CANCELLED,
        "source.access_denied": Code.PERMISSION_DENIED,
        "source.address_not_allowed": Code.PERMISSION_DENIED,
        "source.bucket_not_allowed": Code.PERMISSION_DENIED,
        "source.bucket_not_found": Code.NOT_FOUND,
        "source.host_not_allowed": Code.PERMISSION_DENIED,
        "source.not_found": Code.NOT_FOUND,
        "source.path_not_allowed": Code.PERMISSION_DENIED,
        "source.scheme_not_allowed": Code.PERMISSION_DENIED,
    }
)
"""Where Google tells more than our own problems do."""
_OURS: Final = ("engine.", "internal.", "result.", "worker.")
"""Codes of errors of a job that are not its image's."""
HTTP: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.CANCELLED: 499,
        Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
        Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
        Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
        Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
        Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
        Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
        Code.ABORTED: HTTPStatus.CONFLICT,
        Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
        Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
        Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    }
)


def code_of(info: ErrorInfo, status: int | None = None) -> Code:
    """Of a request. `status`: the problem's, where it is not the code's own."""
    if (known := _BY_CODE.get(info.code)) is not None:
        return known
    return _BY_STATUS.get(status_of(info.code) if status is None else status, Code.INVALID_ARGUMENT)


def code_of_image(info: ErrorInfo) -> Code:
    """Of an image that could not be read."""
    if info.code not in _BY_CODE:
        if info.retryable:
            return Code.UNAVAILABLE
        if info.code.startswith(_OURS):
            return Code.INTERNAL
    return code_of(info)


def status_of_image(info: ErrorInfo) -> dict[str, Any]:
    """Fields of a Status, as an answer about several images has it of one."""
    return {"code": int(code_of_image(info)), "message": message_of(error_for_clients(info))}


def message_of(info: ErrorInfo) -> str:
    return f"{info.code}: {info.message} {info.remedy}".strip()


def details_of(info: ErrorInfo) -> dict[str, Any]:
    """Fields of an ErrorInfo of Google's."""
    metadata = {"code": info.code, "remedy": info.remedy}
    return {"reason": info.code.upper().replace(".", "_"), "domain": DOMAIN, "metadata": metadata}


def rest_error(info: ErrorInfo, status: int, headers: Mapping[str, str]) -> Response:
    """As an ErrorForm."""
    code = code_of(info, status)
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **details_of(info)}]
    if (seconds := headers.get("retry-after")) is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"})
    error = {"code": HTTP[code], "message": message_of(info), "status": code.name, "details": details}
    return JSONResponse({"error": error}, HTTP[code], headers=dict(headers))
