"""URLs that are told of ends: of one form only, that every parser reads alike."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

LONGEST: Final = 2048
_FORM: Final = re.compile(
    r"https?://(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?][!$-;=?-Z_a-z~%]*)?"
)
"""RFC 3986, with a host and in ASCII; without a user, a password or a fragment."""


def check_webhook_url(url: str) -> str:
    """The URL as it is. Raises ValueError without a word of it, for it may hold a secret."""
    found = _FORM.fullmatch(url) if len(url) <= LONGEST else None
    if found is None or not 0 < int(found["port"] or 443) < 65_536:
        raise ValueError(
            f"must be http:// or https://, a host and a path: at most {LONGEST} characters of ASCII, without a user, "
            "a password or a fragment"
        )
    if found["host"].startswith("["):
        try:
            IPv6Address(found["host"].strip("[]"))
        except AddressValueError:
            raise ValueError("the host is no IPv6 address") from None
    return url
