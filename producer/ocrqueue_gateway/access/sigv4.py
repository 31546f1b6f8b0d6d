"""AWS Signature Version 4, as a server checks it: plain functions over what a request has.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote_from_bytes

from ocrqueue.errors import KeyInvalid, SignatureExpired, SignatureWrong

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SKEW: Final = timedelta(minutes=5)
"""By which a client's clock may differ from this one: as much as AWS lets it."""
_TERMINATOR: Final = "aws4_request"
_PARTS: Final = re.compile(
    rf"{ALGORITHM} +Credential=(?P<key_id>[A-Za-z0-9]{{1,128}})/(?P<day>\d{{8}})/(?P<region>[a-z0-9-]{{1,64}})"
    rf"/(?P<service>[a-z0-9-]{{1,64}})/{_TERMINATOR} *, *SignedHeaders=(?P<names>[^ ,]+) *,"
    r" *Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_DATE: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_ONE_OF_EACH: Final = frozenset(
    {b"authorization", b"content-type", b"host", b"x-amz-content-sha256", b"x-amz-date", b"x-amz-target"}
)
"""Headers that are acted upon: they are signed where they are there, and are there once."""
_NEEDED: Final = frozenset({b"host", b"x-amz-date"})

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the header of that name says."""

    key_id: str
    day: str
    region: str
    service: str
    signed: tuple[bytes, ...]
    """Names of headers, in order."""
    signature: str = field(repr=False)

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/{_TERMINATOR}"


def is_signed(headers: Headers) -> bool:
    """Whether a request says that it is signed in this way."""
    return any(name == b"authorization" and value.startswith(ALGORITHM.encode()) for name, value in headers)


def read_authorization(headers: Headers, *, service: str, now: datetime) -> Authorization:
    """What can be said before there is a body: all but that the signature is right.

    Raises KeyInvalid for what is not signed as it has to be, SignatureExpired where the time is not now.
    """
    _check_names(headers)
    found = _PARTS.fullmatch(_one(headers, b"authorization"))
    if found is None:
        raise KeyInvalid("The header Authorization is not one of AWS Signature Version 4.")
    names = tuple(found["names"].encode().split(b";"))
    made = Authorization(found["key_id"], found["day"], found["region"], found["service"], names, found["signature"])
    if made.service != service:
        raise KeyInvalid(f"The request is signed for the service {made.service}, not for {service}.")
    _check_signed(headers, names)
    _check_date(_one(headers, b"x-amz-date"), made.day, now)
    return made


def check_signature(  # each is a part of the signed text
    authorization: Authorization,
    secret: str,
    *,
    method: str,
    path: bytes,
    query: bytes,
    headers: Headers,
    body_sha256: str,
) -> None:
    """Raises SignatureWrong. `body_sha256`: of the body that came, in hexadecimal digits."""
    told = _one(headers, b"x-amz-content-sha256", body_sha256)
    is_this_body = hmac.compare_digest(told.encode(), body_sha256.encode())
    text = canonical_request(method, path, query, headers, authorization.signed, body_sha256)
    right = signature(secret, authorization, _one(headers, b"x-amz-date"), text)
    is_right = hmac.compare_digest(right.encode(), authorization.signature.encode())
    if not (is_this_body and is_right):
        raise SignatureWrong()


def canonical_request(
    method: str, path: bytes, query: bytes, headers: Headers, signed: Iterable[bytes], body_sha256: str
) -> bytes:
    """The request as text, of which all that signed agree on each byte. `path` and `query` as they were sent."""
    names = tuple(signed)
    lines = [
        method.encode(),
        quote_from_bytes(path or b"/", safe="/~").encode(),
        _canonical_query(query),
        *(name + b":" + b",".join(_values(headers, name)) for name in names),
        b"",
        b";".join(names),
        body_sha256.encode(),
    ]
    return b"\n".join(lines)


def signature(secret: str, authorization: Authorization, at: str, canonical: bytes) -> str:
    """In hexadecimal digits. `at`: the header X-Amz-Date."""
    text = "\n".join((ALGORITHM, at, authorization.scope, hashlib.sha256(canonical).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (authorization.day, authorization.region, authorization.service, _TERMINATOR, text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def _canonical_query(query: bytes) -> bytes:
    pairs = sorted((name, value) for name, _, value in (pair.partition(b"=") for pair in query.split(b"&")))
    return b"&".join(name + b"=" + value for name, value in pairs) if query else b""


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [b" ".join(value.split()) for each, value in headers if each == name]


def _one(headers: Headers, name: bytes, absent: str = "") -> str:
    return next((value.decode("latin-1").strip() for each, value in headers if each == name), absent)


def _check_names(headers: Headers) -> None:
    names = [name for name, _ in headers if name in _ONE_OF_EACH]
    if len(names) != len(set(names)):
        raise KeyInvalid("A header that is signed comes twice.")
    if any(name == b"x-amz-security-token" for name, _ in headers):
        raise KeyInvalid(
            "The request has a session token, and there are none here: its credentials are of another service.",
            remedy="Give the client the id of an API key and its secret, and unset AWS_SESSION_TOKEN.",
        )


def _check_signed(headers: Headers, signed: Sequence[bytes]) -> None:
    present = {name for name, _ in headers}
    needed = _NEEDED | (present & _ONE_OF_EACH - {b"authorization"})
    missing = sorted(needed - set(signed))
    if missing:
        raise KeyInvalid(f"The signature leaves out the header {missing[0].decode()}.")
    if list(signed) != sorted(set(signed)) or not present >= set(signed):
        raise KeyInvalid("SignedHeaders are to be names of headers that came, sorted, each once, in lower case.")


def _check_date(at: str, day: str, now: datetime) -> None:
    try:
        sent = datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if _DATE.fullmatch(at) else None
    except ValueError:
        sent = None
    if sent is None or at[:8] != day:
        raise KeyInvalid("The header X-Amz-Date is no time like 20260203T101530Z, of the day in Credential.")
    if abs(now - sent) > _SKEW:
        raise SignatureExpired(f"The request was signed at {at}, and here it is {now:%Y%m%dT%H%M%SZ}.")
