"""Signature Version 4 as botocore signs it, and as nobody may."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue.errors import KeyInvalid, SignatureExpired, SignatureWrong
from ocrqueue_gateway.access.sigv4 import check_signature, is_signed, read_authorization

KEY_ID = "OQABCDEFGHIJKLMNOPQR"
SECRET = "c2VjcmV0LW9mLXRoZS1rZXktZm9yLXRlc3RzLW9ubHk"
HEADERS = {
    "Host": "127.0.0.1:8787",
    "X-Amz-Target": "Textract.DetectDocumentText",
    "Content-Type": "application/x-amz-json-1.1",
}


@dataclass(frozen=True)
class Received:
    """A request as the gateway gets it."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b"{}"
    method: str = "POST"
    path: bytes = b"/"
    query: bytes = b""
    secret: str = SECRET
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def check(self) -> str:
        """The id of the key. Raises as the gateway does."""
        made = read_authorization(self.headers, service="textract", now=self.now)
        check_signature(
            made,
            self.secret,
            method=self.method,
            path=self.path,
            query=self.query,
            headers=self.headers,
            body_sha256=hashlib.sha256(self.body).hexdigest(),
        )
        return made.key_id

    def with_header(self, name: bytes, value: bytes | None) -> Received:
        """With another value; without it, for None."""
        kept = tuple(pair for pair in self.headers if pair[0] != name)
        return replace(self, headers=kept if value is None else (*kept, (name, value)))

    def header(self, name: bytes) -> bytes:
        return next(value for each, value in self.headers if each == name)


def signed(
    body: bytes = b"{}",
    more: list[tuple[str, str]] | None = None,
    *,
    method: str = "POST",
    url: str = "http://127.0.0.1:8787/",
    region: str = "eu-central-1",
    service: str = "textract",
    token: str | None = None,
) -> Received:
    """By botocore's own signer."""
    headers = HTTPHeaders()
    for name, value in [*HEADERS.items(), *(more or [])]:
        headers.add_header(name, value)
    request = AWSRequest(method=method, url=url, data=body)
    request.headers = headers
    SigV4Auth(Credentials(KEY_ID, SECRET, token), service, region).add_auth(request)
    target = url.removeprefix("http://127.0.0.1:8787")
    path, _, query = target.partition("?")
    sent = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items())
    return Received(sent, body, method, path.encode(), query.encode())


# what a header may have in it, without the letters that botocore takes for others than they are sent as
_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
_names = st.from_regex(r"X-Own-[A-Za-z0-9-]{1,10}", fullmatch=True)
_segments = st.text("abcXYZ019-_.~%20é ()+,;=@&'*!$", min_size=1, max_size=12).filter(lambda each: set(each) != {"."})


@given(body=st.binary(max_size=200), more=st.lists(st.tuples(_names, _values), max_size=4))
def test_what_botocore_signs_is_right(body: bytes, more: list[tuple[str, str]]) -> None:
    assert signed(body, more).check() == KEY_ID


@given(
    segments=st.lists(_segments, min_size=1, max_size=3),
    pairs=st.lists(st.tuples(st.text("ab~-%2", min_size=1, max_size=5), st.text("xy%20", max_size=5)), max_size=4),
    method=st.sampled_from(["POST", "GET", "PUT"]),
)
def test_paths_and_queries_are_signed_as_they_are_sent(
    segments: list[str], pairs: list[tuple[str, str]], method: str
) -> None:
    from urllib.parse import quote

    path = "/" + "/".join(quote(segment) for segment in segments)
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    received = signed(url=f"http://127.0.0.1:8787{path}" + (f"?{query}" if query else ""), method=method)
    assert received.check() == KEY_ID


@given(data=st.data())
def test_whatever_is_changed_on_the_way_is_noticed(data: st.DataObject) -> None:
    received = signed(b'{"Document": {"Bytes": "aGk="}}')
    part = data.draw(st.sampled_from(["body", "method", "path", "query", "secret", "header", "signature"]))
    match part:
        case "header":
            name = data.draw(st.sampled_from([b"host", b"x-amz-target", b"content-type"]))
            changed = received.with_header(name, _flipped(data, received.header(name)))
        case "signature":
            told = received.header(b"authorization")
            position = len(told) - 1 - data.draw(st.integers(0, 63))
            other = data.draw(st.sampled_from([each for each in b"0123456789abcdef" if each != told[position]]))
            changed = received.with_header(b"authorization", told[:position] + bytes([other]) + told[position + 1 :])
        case "body":
            changed = replace(received, body=_flipped(data, received.body))
        case "path":
            changed = replace(received, path=b"/other")
        case "query":
            changed = replace(received, query=b"a=b")
        case "method":
            changed = replace(received, method="PUT")
        case _:
            changed = replace(received, secret=SECRET[:-1] + "x")
    with pytest.raises(SignatureWrong):
        changed.check()


def _flipped(data: st.DataObject, text: bytes) -> bytes:
    position = data.draw(st.integers(0, len(text) - 1))
    return text[:position] + bytes([text[position] ^ 1]) + text[position + 1 :]


def test_an_example_of_awss_own_test_suite_of_signers() -> None:
    """get-vanilla, with the service that it names."""
    headers = (
        (b"host", b"example.amazonaws.com"),
        (b"x-amz-date", b"20150830T123600Z"),
        (
            b"authorization",
            b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            b"SignedHeaders=host;x-amz-date, "
            b"Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
    )
    now = datetime(2015, 8, 30, 12, 40, tzinfo=UTC)
    made = read_authorization(headers, service="service", now=now)
    check_signature(
        made,
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        method="GET",
        path=b"/",
        query=b"",
        headers=headers,
        body_sha256=hashlib.sha256(b"").hexdigest(),
    )


@pytest.mark.parametrize("minutes", [-4.9, 0, 4.9])
def test_clocks_may_differ_by_five_minutes(minutes: float) -> None:
    received = signed()
    assert replace(received, now=received.now + timedelta(minutes=minutes)).check() == KEY_ID


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24 * 365])
def test_what_was_signed_at_another_time_is_refused(minutes: float) -> None:
    received = signed()
    with pytest.raises(SignatureExpired, match="The request was signed at 2"):
        replace(received, now=received.now + timedelta(minutes=minutes)).check()


def test_a_hash_of_the_body_that_the_client_tells_is_to_be_that_of_the_body() -> None:
    body = b'{"Document": {}}'
    told = [("X-Amz-Content-SHA256", hashlib.sha256(body).hexdigest())]
    assert signed(body, told).check() == KEY_ID
    with pytest.raises(SignatureWrong):
        replace(signed(body, told), body=b"{}").check()
    for unsigned in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", ""):
        with pytest.raises(SignatureWrong):
            signed(body, [("X-Amz-Content-SHA256", unsigned)]).check()


def test_session_tokens_are_refused() -> None:
    with pytest.raises(KeyInvalid, match="session token"):
        signed(token="AQoDYXdzEJr").check()


def test_another_service_is_refused_and_any_region_will_do() -> None:
    assert signed(region="moon-north-1").check() == KEY_ID
    with pytest.raises(KeyInvalid, match="for the service s3, not for textract"):
        signed(service="s3").check()


@pytest.mark.parametrize("name", [b"host", b"x-amz-date", b"x-amz-target", b"content-type"])
def test_what_is_acted_upon_comes_once_and_is_signed(name: bytes) -> None:
    received = signed()
    twice = replace(received, headers=(*received.headers, (name, received.header(name))))
    with pytest.raises(KeyInvalid, match="comes twice"):
        twice.check()
    told = received.header(b"authorization")
    left_out = told.replace(name + b";", b"").replace(b";" + name + b",", b",")
    assert left_out != told
    with pytest.raises(KeyInvalid, match="leaves out the header"):
        received.with_header(b"authorization", left_out).check()


@pytest.mark.parametrize(
    ("told", "becomes"),
    [
        (b"AWS4-HMAC-SHA256 ", b"AWS4-HMAC-SHA1 "),
        (b"aws4_request", b"aws3_request"),
        (b"Credential=", b"Credential=\xc3\xa9"),
        (b"SignedHeaders=", b"SignedHeaders=x-not-there;"),
        (b"SignedHeaders=content-type;host", b"SignedHeaders=host;content-type"),
        (b"SignedHeaders=content-type", b"SignedHeaders=content-type;content-type"),
        (b"Signature=", b"Signature=0"),
        (b"Signature=", b"Other="),
        (b"/textract/", b"/"),
    ],
)
def test_a_header_that_is_not_as_it_has_to_be_is_refused(told: bytes, becomes: bytes) -> None:
    received = signed()
    changed = received.header(b"authorization").replace(told, becomes)
    with pytest.raises(KeyInvalid):
        received.with_header(b"authorization", changed).check()


@pytest.mark.parametrize("at", [b"20260230T101530Z", b"2026-02-03T10:15:30Z", b"", None])
def test_a_time_that_is_none_is_refused(at: bytes | None) -> None:
    with pytest.raises(KeyInvalid):
        signed().with_header(b"x-amz-date", at).check()


@given(st.binary(max_size=300))
def test_no_header_breaks_it(value: bytes) -> None:
    headers = (*signed().with_header(b"authorization", None).headers, (b"authorization", value))
    with pytest.raises(KeyInvalid):
        read_authorization(headers, service="textract", now=datetime.now(UTC))


def test_what_is_signed_is_told_by_its_header() -> None:
    assert is_signed(signed().headers)
    assert not is_signed(((b"authorization", b"Bearer AWS4-HMAC-SHA256"),))
    assert not is_signed(())
