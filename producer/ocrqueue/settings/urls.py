"""URLs in settings, which may hold a password."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit


def split_url(url: str) -> SplitResult:
    """Raises ValueError without a word of the URL, which may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # it is not looked at before
    except ValueError:
        raise ValueError("is not a URL: its host or port is not valid") from None
    return parts


def mask_password(url: str) -> str:
    """`url` with its password, and any password in its query, replaced by ***; all of it where it does not parse."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "***"
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:***@{host}" if at else host
    return urlunsplit(parts._replace(netloc=netloc, query="***" if "password" in parts.query else parts.query))
