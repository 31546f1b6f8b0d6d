"""Where a request has its API key: as bearers have it, and as the headers of the big clouds' clients have it."""

from __future__ import annotations

from typing import Final

from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.datastructures import Headers

HEADERS: Final = ("ocp-apim-subscription-key", "x-api-key", "x-goog-api-key")
"""Of Azure, of many, and of Google. Never a part of the URL, which ends up in logs."""


class Way(SecurityBase):
    """How a key may come, for the OpenAPI document; `presented_key` looks for it."""

    def __init__(self, name: str, model: APIKey | HTTPBearer) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        """As a dependency it does nothing."""


BEARER: Final = Way("bearer", HTTPBearer(description="An API key, made by `ocrqueue keys create`."))
WAYS: Final = (BEARER, *(Way(name, APIKey(**{"in": APIKeyIn.header}, name=name)) for name in HEADERS))


def presented_key(headers: Headers) -> str | None:
    """The key, or what is in its place; None where there is none. `Authorization` comes first."""
    authorization = headers.get("authorization", "")
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    for name in HEADERS:
        if (value := headers.get(name, "")) != "":
            return value.strip()
    # of another scheme: it is somebody who has something to show, and it is no key
    return authorization or None
