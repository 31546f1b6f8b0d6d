"""What Google's errors mean here: of a whole request, however deep they are wrapped, and of one image in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ocrqueue.errors import (
    EngineAccessDenied,
    EngineFailed,
    EngineImageRefused,
    EngineThrottled,
    EngineUnreachable,
    OcrQueueError,
    SourceAccessDenied,
    SourceNotFound,
)

_OUTAGES: Final = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "INTERNAL", "UNKNOWN", "CANCELLED", "DATA_LOSS"}
_DENIED: Final = {"PERMISSION_DENIED", "UNAUTHENTICATED"}
_REFUSED: Final = {"INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION", "NOT_FOUND"}
_HTTP_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Of answers over REST that do not name their status."""

_BAD_CREDENTIALS: Final = re.compile("invalid_grant|invalid_client|unauthorized_client|invalid_scope|deleted_client")
"""What Google's token server says of credentials that will not do; gRPC reports it as UNAVAILABLE."""
_LONGEST: Final = 200

_CREDENTIALS_REMEDY: Final = (
    "Set GOOGLE_APPLICATION_CREDENTIALS on the workers to the key file of a service account that exists, or run them "
    "where workload identity gives them one."
)
_ROLES_REMEDY: Final = "Check the service account's roles in the project, and that the Vision API may be used in it."
_REMEDIES: Final = {
    "BILLING_DISABLED": "Enable billing for the project at https://console.cloud.google.com/billing, "
    "then replay the job.",
    "SERVICE_DISABLED": "Enable the Cloud Vision API in the project: gcloud services enable vision.googleapis.com.",
    "API_KEY_INVALID": _CREDENTIALS_REMEDY,
    "ACCESS_TOKEN_EXPIRED": _CREDENTIALS_REMEDY,
    "CREDENTIALS_MISSING": _CREDENTIALS_REMEDY,
    "USER_PROJECT_DENIED": "Give the service account the role roles/serviceusage.serviceUsageConsumer in the project.",
}
"""By the reason in google.rpc.ErrorInfo."""


def error_of(raised: BaseException) -> OcrQueueError:
    """The error that an exception stands for: the outermost of its causes that says something."""
    for error in chain(raised):
        if (known := _known(error)) is not None:
            return known
    return EngineFailed(f"vision raised {type(raised).__name__}.")


def chain(raised: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from or during, the cause that a RetryError holds, and theirs, each once."""
    waiting, seen = [raised], set[int]()
    while waiting:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        held = getattr(error, "cause", None)
        inner = [*getattr(error, "exceptions", ()), held, error.__cause__, error.__context__]
        waiting += [each for each in inner if isinstance(each, BaseException)]


def image_error(code: int, message: str, by_reference: bool = False) -> OcrQueueError:
    """Of one image of a request that was answered; `code` is google.rpc.Code.

    `by_reference`: Google was to fetch the image itself, so that what it may not see or find is the image.
    """
    from google.rpc.code_pb2 import Code

    status = Code.Name(code) if code in Code.values() else "UNKNOWN"
    if by_reference and status in _DENIED:
        return SourceAccessDenied(
            f"Google may not read the image: {_said(message)}",
            remedy="Grant the workers' service account the role roles/storage.objectViewer on the bucket.",
        )
    if by_reference and status == "NOT_FOUND":
        return SourceNotFound(f"Google finds no image: {_said(message)}")
    return _error(status, message)


def credentials_missing() -> EngineAccessDenied:
    return EngineAccessDenied("There are no Google credentials on this worker.", remedy=_CREDENTIALS_REMEDY)


def is_refusal(error: OcrQueueError) -> bool:
    """Whether Google has surely not read, and so not billed, what ended in this error."""
    return isinstance(
        error, EngineThrottled | EngineAccessDenied | EngineImageRefused | SourceAccessDenied | SourceNotFound
    )


def _known(error: BaseException) -> OcrQueueError | None:
    if isinstance(error, OcrQueueError):
        return error
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
    from grpc import RpcError
    from requests import RequestException

    match error:
        case GoogleAPICallError() | RpcError():
            status = _status(error)
            return _error(status, _message(error), getattr(error, "reason", None), _project(error)) if status else None
        case DefaultCredentialsError():
            return credentials_missing()
        case RefreshError():
            return (
                EngineUnreachable("Google's token server does not answer.")
                if error.retryable
                else _credentials_refused()
            )
        case TransportError() | RequestException() | OSError():
            return EngineUnreachable(f"Google's service cannot be reached ({type(error).__name__}).")
    return None


def _status(error: Any) -> str | None:
    """The canonical name, such as UNAVAILABLE, of a GoogleAPICallError or grpc.RpcError that has one."""
    if (status := getattr(error, "grpc_status_code", None)) is not None:
        return str(status.name)
    code = getattr(error, "code", None)
    code = code() if callable(code) else code
    if isinstance(code, int):
        return _HTTP_STATUSES.get(code, "UNAVAILABLE" if code >= 500 else "INVALID_ARGUMENT")
    return str(code.name) if code is not None else None


def _message(error: Any) -> str:
    if isinstance(message := getattr(error, "message", None), str):
        return message
    details = getattr(error, "details", None)
    return str(details() if callable(details) else "")


def _project(error: Any) -> str | None:
    consumer = (getattr(error, "metadata", None) or {}).get("consumer")
    return str(consumer)[:_LONGEST] if consumer else None


def _error(status: str, message: str, reason: str | None = None, project: str | None = None) -> OcrQueueError:
    if status == "RESOURCE_EXHAUSTED":
        return EngineThrottled(f"Google takes no more for now: {_said(message)}")
    if status in _DENIED or reason in _REMEDIES or (status == "FAILED_PRECONDITION" and _reason_in(message)):
        return _denied(status, message, reason or _reason_in(message), project)
    if status in _OUTAGES:
        if _BAD_CREDENTIALS.search(message):
            return _credentials_refused()
        return EngineUnreachable(f"Google's service has a fault ({status}): {_said(message)}")
    if status in _REFUSED:
        return EngineImageRefused(f"Google does not take the image ({status}): {_said(message)}")
    return EngineFailed(f"Google cannot do this ({status}): {_said(message)}")


def _reason_in(message: str) -> str | None:
    """The reason that older answers give in words only."""
    if "billing" in message.lower():
        return "BILLING_DISABLED"
    return "SERVICE_DISABLED" if re.search("has not been used in project|it is disabled", message) else None


def _denied(status: str, message: str, reason: str | None, project: str | None) -> EngineAccessDenied:
    which = f" for {project}" if project else ""
    what = (reason or status).replace("_", " ").lower()
    said = "" if reason in _REMEDIES else f" {_said(message)}"
    usual = _CREDENTIALS_REMEDY if status == "UNAUTHENTICATED" else _ROLES_REMEDY
    return EngineAccessDenied(
        f"Google does not let the workers in{which}: {what}.{said}", remedy=_REMEDIES.get(reason or "", usual)
    )


def _credentials_refused() -> EngineAccessDenied:
    return EngineAccessDenied("Google does not accept the workers' credentials.", remedy=_CREDENTIALS_REMEDY)


def _said(message: str) -> str:
    """What Google said, without what may be secret in it, and short."""
    text = " ".join("".join(each if each.isprintable() else " " for each in message).split())
    text = re.sub(r"^POST \S+: ", "", text)
    text = re.sub(r"(https?://[^\s?]+)\?\S+", r"\1?...", text)
    text = text[:_LONGEST] or "no reason was given"
    return text if text.endswith(".") else f"{text}."
