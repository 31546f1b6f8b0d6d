"""What a browser may do with a page of ours: run our modules, and nothing that stands in a page itself.

Names and texts come from outside. Should one of them ever become markup, the browser does not run it, and tells us.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ocrqueue_gateway.hardening.bodies import read_pieces

REPORTS: Final = "/csp-reports"
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # no text becomes markup by a script; static/frame.js lets the viewer empty its own elements
        "require-trusted-types-for 'script'",
        "trusted-types default",
        f"report-uri {REPORTS}",
    )
)
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "referrer-policy": "same-origin",
        "x-frame-options": "DENY",
    }
)
"""Of every page."""
_MOST_BYTES: Final = 16 * 1024
_KEPT: Final = 50
_BETWEEN_LOGS_S: Final = 10.0
_LOG: Final = logging.getLogger("ocrqueue_gateway.pages")

router = APIRouter(include_in_schema=False)


class Reports:
    """What browsers have told a replica: the latest are kept, and some are logged, since anybody may send them."""

    def __init__(self) -> None:
        self.latest: deque[dict[str, str]] = deque(maxlen=_KEPT)
        self._logged_at = -_BETWEEN_LOGS_S

    def add(self, told: dict[str, str]) -> None:
        self.latest.append(told)
        now = time.monotonic()
        if now - self._logged_at >= _BETWEEN_LOGS_S:
            self._logged_at = now
            _LOG.warning("a browser has kept a page from doing what its policy does not allow: %s", json.dumps(told))


@router.post(REPORTS, status_code=204)
async def report(request: Request) -> Response:
    """Told by a browser."""
    text = b"".join([piece async for piece in read_pieces(request, _MOST_BYTES)])
    try:
        told: Any = json.loads(text)["csp-report"]
        known = {name: str(told.get(name, ""))[:200] for name in ("violated-directive", "blocked-uri", "source-file")}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Response(status_code=204)  # no browser's
    reports: Reports = request.app.state.csp_reports
    reports.add(known)
    return Response(status_code=204)
