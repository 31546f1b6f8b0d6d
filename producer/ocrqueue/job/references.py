"""Image references: telling their kinds apart, and showing them without their secrets."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from ocrqueue.errors import SourceInvalid

INPUT_NAME: Final = r"[0-9a-f]{64}\.[a-z]{2,4}"
"""Of an uploaded image, below inputs/: the sum of its content."""
_INPUT: Final = re.compile(rf"/inputs/({INPUT_NAME})$")

_KEYED: Final = ("s3://", "gs://")
"""What follows the bucket is a key: any characters, none of which means anything."""

SCHEMES = ("s3", "gs", "https", "http", "file")


def is_reference(text: str) -> bool:
    """Whether `text` is a URI (of any scheme) rather than a local path."""
    return "://" in text


def split_uri(uri: str) -> SplitResult:
    """The parts of a reference. Raises SourceInvalid where its address does not parse, as in `http://[/x.png`."""
    try:
        return urlsplit(uri)
    except ValueError:
        # whose text may show the whole address, and a password in it
        raise SourceInvalid("The reference is not a URI: its address is not valid.") from None


def redact_uri(uri: str) -> str:
    """`uri` without user, password, query and fragment: presigned URLs carry their secret in the query.

    Of s3:// and gs:// all after the bucket is the key, which is shown.
    """
    if uri.startswith(_KEYED):
        return _redacted_key(uri)
    try:
        parts = split_uri(uri)
    except SourceInvalid:
        return "(invalid URI)"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")) + ("?..." if parts.query else "")


def _redacted_key(uri: str) -> str:
    place, slash, key = uri[len(_KEYED[0]) :].partition("/")
    try:
        bucket = split_uri(f"s3://{place}").netloc.rpartition("@")[2]
    except SourceInvalid:
        return "(invalid URI)"
    return f"{uri[: len(_KEYED[0])]}{bucket}{slash}{key}"


def reference_path(uri: str) -> str:
    """What names the image within its bucket or host: the key as it is, or the path, decoded. Raises SourceInvalid."""
    if uri.startswith(_KEYED):
        return uri[len(_KEYED[0]) :].partition("/")[2]
    return unquote(split_uri(uri).path)


def input_name(uri: str) -> str | None:
    """The name of an image that an app has uploaded, which is made of its content; None for any other reference."""
    found = _INPUT.search(uri)
    return found[1] if found else None


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key. The key is everything after the bucket's slash, `?` and `#` included. Raises SourceInvalid."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise SourceInvalid("Not an s3://bucket/key reference.")
    return bucket, key


def split_gs_uri(uri: str) -> tuple[str, str]:
    """Bucket and object of a gs:// reference, in the same way. Raises SourceInvalid."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket or not name:
        raise SourceInvalid("Not a gs://bucket/object reference.")
    return bucket, name
