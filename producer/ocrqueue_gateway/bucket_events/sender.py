"""Who sends an event: by a key, which not every service can put where keys belong."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from ocrqueue_gateway.access.authentication import caller_of


async def find_key(request: Request) -> None:
    """A dependency, before the one that asks for a scope: a key is taken from where it is.

    Amazon SNS has it as the password of a user in its address, Ceph as `?key=` and nowhere else. Raises as caller_of().
    """
    key = _key_of(request)
    if key is None:
        return
    others = [(name, value) for name, value in request.scope["headers"] if name.lower() != b"authorization"]
    request.scope["headers"] = [*others, (b"authorization", b"Bearer " + key.encode("latin-1", "replace"))]
    # of a new request: this one has read its headers; both have the same scope, and who calls is kept there
    await caller_of(Request(request.scope))


def _key_of(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.query_params.get("key")
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
