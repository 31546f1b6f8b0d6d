"""A protocol's place in the application: its routes, and its own form of every error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.types import Scope

from ocrqueue.errors import ErrorInfo
from ocrqueue_gateway.clouds.rules import load_cloud_rules
from ocrqueue_gateway.problems import answer_errors
from ocrqueue_gateway.settings import GatewaySettings

ProtocolError = Callable[[ErrorInfo, int, Mapping[str, str]], Response]
"""An error as a protocol has it, by its HTTP status and with these headers."""


def prepare_clouds(app: FastAPI, settings: GatewaySettings) -> None:
    """Once, before any protocol is mounted. Raises SettingsInvalid."""
    app.state.cloud_rules = load_cloud_rules(settings.cloud_rules)


def mount(app: FastAPI, router: APIRouter, speaks: Callable[[Scope], bool], form: ProtocolError) -> None:
    """`speaks`: whether a request, by its path and headers, is of the protocol; also where no route is.

    The routes are not of the native API: its OpenAPI document does not name them.
    """
    app.include_router(router, include_in_schema=False)
    answer_errors(app, speaks, lambda _, info, status, headers: form(info, status, headers))


def below(*prefixes: str) -> Callable[[Scope], bool]:
    """Of a protocol that has paths of its own."""
    return lambda scope: scope["path"].startswith(prefixes)
