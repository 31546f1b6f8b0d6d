"""Signing in with an API key, and out."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, quote, unquote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ocrqueue.errors import (
    KeyAttemptsExceeded,
    KeyExpired,
    KeyForbidden,
    KeyInvalid,
    KeyMissing,
    KeyRateExceeded,
    RequestInvalid,
)
from ocrqueue_gateway.access import sessions
from ocrqueue_gateway.access.authentication import authenticated, caller_of
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.hardening.bodies import check_media_type, read_pieces
from ocrqueue_gateway.pages.rendering import page, redirect
from ocrqueue_gateway.problems import status_of

SIGN_IN: Final = "/sign-in"
_MOST_BYTES: Final = 4096

router = APIRouter(include_in_schema=False)


async def signed_in(request: Request) -> Caller | None:
    """Who looks at a page; None: nobody that may. Raises what is not the key's fault, such as BrokerUnavailable."""
    try:
        return await caller_of(request, lambda _: None)
    except (KeyMissing, KeyInvalid, KeyExpired):
        return None


def to_sign_in(request: Request) -> Response:
    """The way back is part of it."""
    at = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return redirect(SIGN_IN if at == "/" else f"{SIGN_IN}?next={quote(at, safe='')}")


@router.get(SIGN_IN)
async def sign_in_page(request: Request) -> Response:
    """For a browser that has followed a link from elsewhere the session's cookie does not come along: the page goes on
    by itself where there is a session."""
    back = _own_address(request.query_params.get("next", ""))
    return page(request, "sign_in.html", await signed_in(request), back=back, error=None)


@router.post(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """A form with `key` and `next`."""
    _check_own(request)
    fields = await _form(request)
    back = _own_address(fields.get("next", ""))
    try:
        found = await authenticated(request, fields.get("key", "").strip())
    except (KeyInvalid, KeyExpired, KeyAttemptsExceeded, KeyRateExceeded) as error:
        return page(request, "sign_in.html", None, status=status_of(error.info.code), back=back, error=error.info)
    answer = redirect(back)
    await sessions.begin(request, answer, found.id)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    _check_own(request)
    answer = redirect(SIGN_IN)
    await sessions.end(request, answer)
    return answer


def _check_own(request: Request) -> None:
    """No other page signs somebody in or out. Raises KeyForbidden."""
    if not sessions.is_of_own_page(request):
        raise KeyForbidden(
            "The form is of another site's page.",
            remedy="Open the sign-in page of this gateway. A proxy before it has to hand on the header Host.",
        )


async def _form(request: Request) -> dict[str, str]:
    """Raises RequestMediaType, RequestTooLarge, RequestCutOff."""
    check_media_type(request, "application/x-www-form-urlencoded")
    text = b"".join([piece async for piece in read_pieces(request, _MOST_BYTES)])
    try:
        fields = parse_qs(text.decode("ascii", "replace"), max_num_fields=10)
    except ValueError:
        raise RequestInvalid("The form has too many fields.") from None
    return {name: values[0] for name, values in fields.items()}


def _own_address(address: str) -> str:
    """A path of this gateway; `/` for all else, so that nobody is led away by a link."""
    plain = unquote(address)
    is_path = address.startswith("/") and not plain.startswith(("//", "/\\", SIGN_IN))
    return address if is_path and address.isprintable() and plain.isprintable() and len(address) < 500 else "/"
