"""Errors of what people open in a browser: a page in place of JSON, whoever raises them, as in an outage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from ocrqueue.errors import ErrorInfo, RequestNotFound
from ocrqueue_gateway.pages.rendering import error_page

_FOR_PROGRAMS: Final = ("/v1/", "/reader/", "/static/", "/csp-reports", "/healthz", "/readyz", "/metrics")
_FORMS: Final = frozenset({"/sign-in", "/sign-out"})


def is_of_a_person(scope: Scope) -> bool:
    """Whether a browser asks for something to show: it says so, and programs do not."""
    path: str = scope["path"]
    if path.startswith(_FOR_PROGRAMS) or not (scope["method"] in ("GET", "HEAD") or path in _FORMS):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


def tell_a_person(scope: Scope, info: ErrorInfo, status: int, headers: Mapping[str, str]) -> Response:
    """As an ErrorForm."""
    if info.code == RequestNotFound.code:  # whose remedy is for programs
        info = info.model_copy(update={"remedy": "Check the address."})
    made = error_page(Request(scope), None, info, status)
    for name, value in headers.items():
        made.headers.setdefault(name, value)
    return made
