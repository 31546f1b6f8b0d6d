"""The OpenAPI document: what FastAPI makes of the routes, with the problems that they answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from ocrqueue_gateway.access.authentication import NEEDS
from ocrqueue_gateway.access.credentials import HEADERS
from ocrqueue_gateway.problems import Problem, responses
from ocrqueue_gateway.settings import GatewaySettings

_BEARER: Final = "bearer"


def describe(app: FastAPI) -> None:
    """Make the application tell what its responses really are."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
        return app.openapi_schema

    # FastAPI's documentation has it so: https://fastapi.tiangolo.com/how-to/extending-openapi/
    app.openapi = openapi  # type: ignore[method-assign]


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, routes=app.routes, openapi_version="3.1.0")
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which problems stand for
        schemas.pop(name, None)
    made["components"]["securitySchemes"] = _schemes()
    for route in app.routes:
        if isinstance(route, APIRoute) and (scope := scope_of(route)) is not None:
            for method in route.methods or ():
                if (operation := made["paths"].get(route.path_format, {}).get(method.lower())) is not None:
                    _say_who_may(operation, scope, app.state.settings)
    return made


def scope_of(route: APIRoute) -> str | None:
    """That an API key needs for the route; None where it asks for no key."""
    return next(_scopes(route.dependant), None)


def _scopes(dependant: Dependant) -> Iterator[str]:
    for each in dependant.dependencies:
        if (scope := getattr(each.call, NEEDS, None)) is not None:
            yield scope
        yield from _scopes(each)


def _schemes() -> dict[str, Any]:
    bearer = {"type": "http", "scheme": "bearer", "description": "An API key, by `ocrqueue keys create`."}
    others = {name: {"type": "apiKey", "in": "header", "name": name} for name in HEADERS}
    return {_BEARER: bearer, **others}


def _say_who_may(operation: dict[str, Any], scope: str, settings: GatewaySettings) -> None:
    ways: list[dict[str, list[str]]] = [{name: []} for name in (_BEARER, *HEADERS)]
    if settings.is_local or settings.allow_no_keys:
        ways.append({})
    operation["security"] = ways
    operation["x-scope"] = scope
    for status, told in responses(401, 403, 429).items():
        operation["responses"].setdefault(str(status), told)
