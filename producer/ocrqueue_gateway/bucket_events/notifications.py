"""What buckets tell, in the forms of AWS, EventBridge, MinIO and Ceph, as one form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus

_LONGEST_KEY: Final = 1024
"""Bytes, of S3; in characters no more than that."""
_MOST: Final = 1000
"""Records of one message; services send one, or a few."""
_PLAIN: Final = "ceph:"
"""Ceph's gateway writes keys as they are; all others that have records encode them as forms do."""


@dataclass(frozen=True, slots=True)
class ObjectStored:
    """Somebody has stored an object."""

    bucket: str
    key: str
    version: str = ""
    etag: str = ""
    sequencer: str = ""

    @property
    def reference(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def idempotency_key(self) -> str:
        """The same for events of the same thing, however often and in whatever order they come."""
        what = [self.bucket, self.key, self.version or [self.etag, self.sequencer]]
        return f"bucket-event-{hashlib.sha256(json.dumps(what).encode(errors='surrogatepass')).hexdigest()}"


def objects_stored(message: Any) -> Iterator[ObjectStored | None]:
    """One for each event of the message; None for one that is of something else, or that nobody understands."""
    if not isinstance(message, Mapping):
        yield None
        return
    if message.get("source") == "aws.s3" and isinstance(message.get("detail"), Mapping):
        yield _of_event_bridge(message)
        return
    records = message.get("Records")
    if not isinstance(records, list):
        yield None
        return
    for record in records[:_MOST]:
        yield _of_record(record)
    for _ in records[_MOST:]:
        yield None


def _of_record(record: Any) -> ObjectStored | None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    name, source = _text(record, "eventName"), _text(record, "eventSource")
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return None
    thing = _inner(record, "s3")
    stored = _inner(thing, "object")
    key = _text(stored, "key")
    if not source.startswith(_PLAIN):
        key = unquote_plus(key, errors="surrogateescape")
    version = _text(stored, "versionId") or _text(stored, "versionID")
    return _made(_text(_inner(thing, "bucket"), "name"), key, version, _text(stored, "eTag"), stored)


def _of_event_bridge(message: Mapping[str, Any]) -> ObjectStored | None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html: keys are as they are."""
    if message.get("detail-type") != "Object Created":
        return None
    detail = message["detail"]
    stored = _inner(detail, "object")
    bucket = _text(_inner(detail, "bucket"), "name")
    return _made(bucket, _text(stored, "key"), _text(stored, "version-id"), _text(stored, "etag"), stored)


def _made(bucket: str, key: str, version: str, etag: str, stored: Mapping[str, Any]) -> ObjectStored | None:
    whole = bool(bucket and key) and "/" not in bucket and not key.endswith("/")
    # a key that is no text in UTF-8 cannot be a reference
    if not whole or len(key) > _LONGEST_KEY or not (bucket + key).isprintable() or not _is_utf8(bucket + key):
        return None
    return ObjectStored(bucket, key, version, etag.strip('"'), _text(stored, "sequencer"))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _inner(of: Any, name: str) -> Mapping[str, Any]:
    found = of.get(name) if isinstance(of, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(of: Any, name: str) -> str:
    found = of.get(name) if isinstance(of, Mapping) else None
    return found if isinstance(found, str) else ""
