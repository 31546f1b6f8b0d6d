"""Reading bodies: so much of them, of the kinds that a route takes."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from ocrqueue.errors import RequestCutOff, RequestMediaType, RequestTooLarge


def media_type(request: Request) -> str:
    """Of the body, without parameters, in lower case; empty where the request does not say."""
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def read_json(request: Request) -> bytes:
    """Raises RequestMediaType, RequestTooLarge, RequestCutOff."""
    if media_type(request) != "application/json":
        raise RequestMediaType("The body is to be application/json.")
    return await read_small(request, request.app.state.settings.max_json_bytes)


async def read_small(request: Request, most: int) -> bytes:
    """All of a body that is held in memory. Raises RequestTooLarge, RequestCutOff."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise RequestTooLarge(f"The body has more than {most} bytes (OCRQUEUE_GATEWAY_MAX_JSON_BYTES).")
            pieces.append(piece)
    except ClientDisconnect:
        raise RequestCutOff() from None
    return b"".join(pieces)
