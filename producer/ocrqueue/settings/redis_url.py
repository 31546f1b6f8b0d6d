"""The setting `redis_url`: one server, or the Sentinels that know which of several servers is the primary.

`sentinel://USER:PASSWORD@HOST:26379,HOST:26379/NAME/DATABASE?OPTIONS`, or `sentinels://` where all is encrypted. User,
password, database and options are those of a redis:// URL, of the servers; `sentinel_username` and `sentinel_password`
among the options are those of the Sentinels. No message here has a word of the URL, which may hold a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

_ENCRYPTED: Final = {"sentinel": False, "sentinels": True}
_DEFAULT_PORT: Final = 26379
_URL: Final = re.compile(
    r"(?P<scheme>[^:]*)://(?:(?P<user>[^/?#]*)@)?(?P<hosts>[^/?#]*)(?:/(?P<path>[^?#]*))?(?P<options>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Sentinels:
    """What a sentinel:// URL says."""

    addresses: tuple[tuple[str, int], ...]
    """Host and port of the Sentinels."""
    service: str
    """The name by which they know the servers that belong together."""
    encrypted: bool
    servers: str = field(repr=False)
    """User, password, database and options of the servers, as a redis:// URL without a host."""


def sentinels_of(url: str) -> Sentinels | None:
    """None for a redis:// URL. Raises ValueError."""
    found = _URL.fullmatch(url)
    if found is None or found["scheme"] not in _ENCRYPTED:
        return None
    service, _, database = (found["path"] or "").partition("/")
    if not service:
        raise ValueError("names no primary: sentinel://host:26379/NAME")
    if not re.fullmatch(r"\d*", database):
        raise ValueError("must end in /NAME, or /NAME/DATABASE with the number of a database")
    user = f"{found['user']}@" if found["user"] else ""
    return Sentinels(
        addresses=tuple(_address(host) for host in found["hosts"].split(",")),
        service=unquote(service),
        encrypted=_ENCRYPTED[found["scheme"]],
        servers=f"redis://{user}/{database}{found['options']}",
    )


def _address(host: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        name, port = None, None
    if not name:
        raise ValueError("is not a URL: a host or port is not valid")
    return name, port or _DEFAULT_PORT


def place_of(url: str) -> str:
    """Host and database, or the Sentinels and the primary's name: what may be shown of a URL that is valid."""
    found = _URL.fullmatch(url)
    if found is None:
        return ""
    return f"{found['hosts'] or '127.0.0.1'}/{found['path'] or ''}".rstrip("/")
