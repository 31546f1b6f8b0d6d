"""Errors by Textract's names, and those that all of AWS's services have.

https://docs.aws.amazon.com/textract/latest/dg/API_DetectDocumentText.html#API_DetectDocumentText_Errors
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.responses import JSONResponse, Response

from ocrqueue.errors import ErrorInfo

MEDIA_TYPE: Final = "application/x-amz-json-1.1"

_INTERNAL: Final = "InternalServerError"
_LATER: Final = "ThrottlingException"
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image.empty": "InvalidParameterException",
        "image.not_recognised": "UnsupportedDocumentException",
        "image.too_large": "DocumentTooLargeException",
        "image.too_many_pages": "DocumentTooLargeException",
        "image.unsupported": "UnsupportedDocumentException",
        "key.expired": "ExpiredTokenException",
        "key.forbidden": "AccessDeniedException",
        "key.invalid": "UnrecognizedClientException",
        "key.missing": "MissingAuthenticationTokenException",
        "key.rate_exceeded": "ProvisionedThroughputExceededException",
        "key.signature_expired": "InvalidSignatureException",
        "key.signature_wrong": "InvalidSignatureException",
        "pdf.encryption_unsupported": "UnsupportedDocumentException",
        "pdf.page_too_large": "DocumentTooLargeException",
        "pdf.password_required": "UnsupportedDocumentException",
        "pdf.password_wrong": "UnsupportedDocumentException",
        "pdf.too_many_pages": "DocumentTooLargeException",
        "request.host": "AccessDeniedException",
        "request.idempotency_mismatch": "IdempotentParameterMismatchException",
        "request.not_found": "UnknownOperationException",
        "request.method_not_allowed": "UnknownOperationException",
        "request.too_large": "DocumentTooLargeException",
        "request.too_slow": "RequestTimeoutException",
        "source.too_large": "DocumentTooLargeException",
        "tenant.limited": "ProvisionedThroughputExceededException",
    }
)
"""By code, where it is not by what comes below."""
_OF_FAMILIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image": "BadDocumentException",
        "job": "InvalidJobIdException",
        "language": "InvalidParameterException",
        "option": "InvalidParameterException",
        "pdf": "BadDocumentException",
        "request": "InvalidParameterException",
        "source": "InvalidS3ObjectException",
    }
)
"""By the part of the code before the dot, of what asking again does not help."""
_STATUSES: Final[Mapping[str, int]] = MappingProxyType({_INTERNAL: 500, _LATER: 500})
"""As Textract's documentation has them; all others are 400."""
_OF_A_JOB: Final = frozenset({"job.malformed", "job.schema_unsupported"})


def name_of(info: ErrorInfo) -> str:
    """The name of the exception that clients raise, and by which they know whether to try again."""
    if info.details.get("parameter") == "KMSKeyId":
        return "InvalidKMSKeyException"
    if info.code in _NAMES:
        return _NAMES[info.code]
    if info.retryable:
        return _LATER
    if info.code in _OF_A_JOB:
        return "InvalidParameterException"
    return _OF_FAMILIES.get(info.code.partition(".")[0], _INTERNAL)


def text_of(info: ErrorInfo) -> str:
    """For people; the code of this system at its end, by which docs/errors.md tells more."""
    return f"{info.message} {info.remedy}".strip() + f" ({info.code})"


def error_response(info: ErrorInfo, _: int, headers: Mapping[str, str]) -> Response:
    """In the form of AWS's JSON protocols."""
    name = name_of(info)
    told = {each: value for each, value in headers.items() if each != "www-authenticate"}
    return JSONResponse(
        {"__type": name, "message": text_of(info)},
        _STATUSES.get(name, 400),
        headers={**told, "x-amzn-errortype": name},
        media_type=MEDIA_TYPE,
    )
