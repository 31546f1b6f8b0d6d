"""All of it, in the order in which it stands before the routes."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from ocrqueue_gateway.access.credentials import HEADERS
from ocrqueue_gateway.hardening.body_limits import BodyLimits
from ocrqueue_gateway.hardening.host_check import HostCheck
from ocrqueue_gateway.hardening.response_headers import ResponseHeaders
from ocrqueue_gateway.hardening.unforeseen import Unforeseen
from ocrqueue_gateway.settings import GatewaySettings

_ASKED: Final = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Prefer", "X-Request-ID")
_TOLD: Final = ("Location", "Preference-Applied", "Retry-After", "X-Request-ID")


def harden(app: FastAPI, settings: GatewaySettings) -> None:
    """The last one that is added comes first."""
    app.add_middleware(Unforeseen, settings=settings)
    app.add_middleware(BodyLimits, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[*_ASKED, *HEADERS],
            expose_headers=list(_TOLD),
            max_age=600,
        )
    app.add_middleware(HostCheck, settings=settings)
    app.add_middleware(ResponseHeaders)
