"""Who sends an event: by a key, which not every service can put where keys belong."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller

_require = require("submit")


async def sender(request: Request) -> Caller:
    """The caller, by the header Authorization: with a key as bearer, or as the password of a user (Amazon SNS has both
    in its address); or by `?key=` (Ceph has nothing else)."""
    key = _key_of(request)
    if key is None:
        return await _require(request)
    headers = [(name, value) for name, value in request.scope["headers"] if name.lower() != b"authorization"]
    headers.append((b"authorization", b"Bearer " + key.encode(errors="replace")))
    return await _require(Request({**request.scope, "headers": headers}))


def _key_of(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.query_params.get("key")
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
