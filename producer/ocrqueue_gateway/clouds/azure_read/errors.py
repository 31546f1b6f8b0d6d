"""Errors as Azure Document Intelligence has them: one of a few codes, in it more exact ones, and ours as the innermost.

https://learn.microsoft.com/azure/ai-services/document-intelligence/how-to-guides/resolve-errors lists them. A wrong key
and too many requests are told of as Azure's API Management does it, before the service: their code is the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from starlette.responses import Response

from ocrqueue.errors import ErrorInfo, OcrQueueError, RequestInvalid, RequestUnsupported, error_for_clients
from ocrqueue_gateway.clouds.azure_read.models import Error, ErrorResponse, InnerError

Inner = Literal[
    "AuthorizationFailed",
    "ContentSourceNotAccessible",
    "ContentSourceTimeout",
    "InvalidContent",
    "InvalidContentDimensions",
    "InvalidContentLength",
    "InvalidContentSourceFormat",
    "InvalidParameter",
    "ModelNotFound",
    "NotSupportedApiVersion",
    "OperationNotFound",
    "OutboundAccessForbidden",
    "ParameterMissing",
    "Unknown",
    "UnsupportedContent",
]
_ARGUMENTS: Final = frozenset(
    {"InvalidContentSourceFormat", "InvalidParameter", "ParameterMissing"},
)
"""Of InvalidArgument; the others are of InvalidRequest where the status is 400."""
_INNER: Final[Mapping[str, Inner]] = MappingProxyType(
    {
        "image.too_large": "InvalidContentDimensions",
        "image.too_small": "InvalidContentDimensions",
        "image.unsupported": "UnsupportedContent",
        "job.deleted": "OperationNotFound",
        "job.ended": "OperationNotFound",
        "job.malformed": "InvalidParameter",
        "job.unknown": "OperationNotFound",
        "key.forbidden": "AuthorizationFailed",
        "language.missing": "InvalidParameter",
        "language.unsupported": "InvalidParameter",
        "page.not_found": "InvalidParameter",
        "pdf.encryption_unsupported": "UnsupportedContent",
        "pdf.extra_missing": "Unknown",
        "pdf.page_too_large": "InvalidContentDimensions",
        "pdf.password_required": "UnsupportedContent",
        "pdf.password_wrong": "UnsupportedContent",
        "request.cut_off": "ContentSourceTimeout",
        "request.too_large": "InvalidContentLength",
        "request.too_slow": "ContentSourceTimeout",
        "source.address_not_allowed": "OutboundAccessForbidden",
        "source.bucket_not_allowed": "OutboundAccessForbidden",
        "source.host_not_allowed": "OutboundAccessForbidden",
        "source.invalid": "InvalidContentSourceFormat",
        "source.path_not_allowed": "OutboundAccessForbidden",
        "source.scheme_not_allowed": "OutboundAccessForbidden",
        "source.timeout": "ContentSourceTimeout",
        "source.too_large": "InvalidContentLength",
    }
)
_INNER_OF_FAMILY: Final[Mapping[str, Inner]] = MappingProxyType(
    {
        "image": "InvalidContent",
        "option": "InvalidParameter",
        "pdf": "InvalidContent",
        "source": "ContentSourceNotAccessible",
        "engine": "Unknown",
        "internal": "Unknown",
    }
)
"""By the part of the code before the dot."""
_MESSAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Conflict": "The request could not be completed due to a conflict.",
        "Forbidden": "Access forbidden due to policy or other configuration.",
        "InternalServerError": "An unexpected error occurred.",
        "InvalidArgument": "Invalid argument.",
        "InvalidRequest": "Invalid request.",
        "MethodNotAllowed": "The requested HTTP method is not allowed.",
        "NotFound": "Resource not found.",
        "ServiceUnavailable": "A transient error has occurred. Please try again.",
        "UnsupportedMediaType": "Request content type is not supported.",
    }
)
_OF_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        403: "Forbidden",
        404: "NotFound",
        405: "MethodNotAllowed",
        409: "Conflict",
        415: "UnsupportedMediaType",
        500: "InternalServerError",
        503: "ServiceUnavailable",
    }
)
_STATUSES: Final[Mapping[int, int]] = MappingProxyType({410: 404, 422: 400, 501: 400})
"""Those that Azure has not."""
_OF_MANAGEMENT: Final = frozenset({401, 429})
_NOT_WAITED_FOR: Final = frozenset({"pages_a_month", "budget_a_month"})
"""Limits of a tenant that last until the next month: Azure's clients wait for as long as they are told to."""


def error_response(info: ErrorInfo, status: int, headers: Mapping[str, str]) -> Response:
    """What every request below /documentintelligence is told of an error."""
    status, more = _status(info, status), dict(headers)
    if status not in (429, 503):
        # with this header, Azure's clients try again whatever the status is
        more.pop("retry-after", None)
    body = ErrorResponse(error=error_of(info, status))
    return Response(body.json_text(), status, more, "application/json")


def error_of(info: ErrorInfo, status: int) -> Error:
    """`status`: of the response, or what it would be for the error of a job that has failed."""
    told = f"{info.message} {info.remedy}".strip()
    own = InnerError(code=info.code, message=info.message)
    if status in _OF_MANAGEMENT:
        return Error(code=str(status), message=told, innererror=own)
    inner = _inner(info)
    code = _OF_STATUS.get(status, "InvalidArgument" if inner in _ARGUMENTS else "InvalidRequest")
    exact = own if inner is None else InnerError(code=inner, message=told, innererror=own)
    return Error(code=code, message=_MESSAGES[code], innererror=exact)


def failure_of(info: ErrorInfo) -> Error:
    """Why a job has failed."""
    info = error_for_clients(info)
    inner = _inner(info)
    if inner == "OutboundAccessForbidden":
        return error_of(info, 403)
    return error_of(info, 500 if inner in (None, "Unknown") else 400)


def refused(inner: Inner, message: str, remedy: str) -> OcrQueueError:
    """A request that is not as Azure has it."""
    return RequestInvalid(message, remedy=remedy, azure=inner)


def unsupported(inner: Inner, message: str, remedy: str) -> OcrQueueError:
    """A request for what Azure has, and this has not."""
    return RequestUnsupported(message, remedy=remedy, azure=inner)


def _inner(info: ErrorInfo) -> str | None:
    told = info.details.get("azure")
    if isinstance(told, str):
        return told
    return _INNER.get(info.code, _INNER_OF_FAMILY.get(info.code.partition(".")[0]))


def _status(info: ErrorInfo, status: int) -> int:
    if info.code == "tenant.limited" and info.details.get("limit") in _NOT_WAITED_FOR:
        return 403
    match _inner(info):
        case "OutboundAccessForbidden":
            return 403
        case "ModelNotFound":
            return 404
    return _STATUSES.get(status, status)
