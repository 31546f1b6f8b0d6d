"""Who sends an event: by a key, which not every service can put where keys belong."""

from __future__ import annotations

import base64

from starlette.requests import Request

from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.credentials import presented_key


def _key_of(request: Request) -> str | None:
    """In the headers that all routes have it in; or as the password of a user (Amazon SNS has both in its address); or
    as `?key=` (Ceph has nothing else)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:  # of base64, ASCII or UTF-8
            return ""
    found = presented_key(request.headers)
    return request.query_params.get("key") if found is None else found


sender = require("submit", find=_key_of)
