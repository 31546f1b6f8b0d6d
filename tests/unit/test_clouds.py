"""What the clouds' protocols have in common: rules, and files in JSON bodies."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from ocrqueue.errors import ImageEmpty, OcrQueueError, RequestInvalid, RequestMediaType, RequestTooLarge, SourceInvalid
from ocrqueue_gateway.clouds import json_files
from ocrqueue_gateway.clouds.json_files import LONG, MOST_FILES, JsonWithFiles, json_with_files
from ocrqueue_gateway.clouds.rules import CloudRules, load_cloud_rules
from ocrqueue_gateway.settings import GatewaySettings

RULES = """
[[rule]]
protocol = "google"
tenant = "acme"
engine = "rapid"
languages = ["kor"]

[[rule]]
engine = "tesseract"

[[bucket]]
name = "gs://scans/"
place = "s3://acme-scans/2026/"
tenant = "acme"
write = true

[[bucket]]
name = "s3://shared/"

[[topic]]
arn = "arn:aws:sns:eu-central-1:123456789012:done"
webhook = "https://example.org/done"
"""


def rules_of(folder: Path, text: str) -> CloudRules:
    path = folder / "rules.toml"
    path.write_text(text)
    return load_cloud_rules(path)


def test_the_first_rule_of_a_protocol_and_a_tenant_decides(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, RULES)
    assert rules.fields("google", "acme") == {"engine": "rapid", "languages": ("kor",)}
    assert rules.fields("google", "other") == {"engine": "tesseract"}
    assert rules.fields("azure", "acme") == {"engine": "tesseract"}
    assert load_cloud_rules(None).fields("textract", "acme") == {}


def test_buckets_and_topics_are_what_the_rules_say(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, RULES)
    assert rules.readable("gs://scans/a/b.png", "acme") == "s3://acme-scans/2026/a/b.png"
    assert rules.writable("gs://scans/out/", "acme") == "s3://acme-scans/2026/out/"
    assert rules.readable("gs://scans/a.png", "other") is None
    assert rules.readable("gs://scans-2/a.png", "acme") is None
    assert rules.readable("s3://shared/a.png", "other") == "s3://shared/a.png"
    assert rules.writable("s3://shared/a.png", "other") is None
    assert rules.webhook("arn:aws:sns:eu-central-1:123456789012:done", "any") == "https://example.org/done"
    assert rules.webhook("arn:aws:sns:eu-central-1:123456789012:else", "any") is None
    with pytest.raises(SourceInvalid):
        rules.readable("gs://scans/../private/a.png", "acme")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\nengnie = 'rapid'", "wrong rule 1"),
        ("[[rule]]\nprotocol = 'ibm'", "wrong rule 1"),
        ("[rule]\nengine = 'rapid'", "is no list"),
        ("[[bucket]]\nname = 'gs://scans'", "wrong bucket 1"),
        ("[[bucket]]\nname = 'gs://scans/'\nwrite = true", "results are stored in s3://"),
        ("[[bucket]]\nname = 'gs://scans/'\nplace = 'file:///etc/'", "wrong bucket 1"),
        ("[[topic]]\narn = 'done'\nwebhook = 'https://example.org/'", "wrong topic 1"),
        ("[[topic]]\narn = 'arn:aws:sns:a:1:b'\nwebhook = 'ftp://example.org/'", "wrong topic 1"),
        ("[[bukcet]]\n", "may have lists"),
        ("[[rule]]\npages = '9-1'", "wrong rule 1: fields.pages"),
        ("[[rule]]\nlanguages = ['../x']", "wrong rule 1"),
        ("[[rule]]\nengine = 'auto'\noptions = { psm = 6 }", "wrong rule 1"),
        ("rule = ", "is not TOML"),
        ("rule = " + "[" * 5000, "is not TOML"),
    ],
)
def test_a_wrong_file_is_told_of(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(OcrQueueError, match=r"^settings\.invalid") as raised:
        rules_of(tmp_path, text)
    assert said in raised.value.message


def request_of(pieces: list[bytes], media_type: str = "application/json", **changes: Any) -> Request:
    """A request whose body comes so."""
    given_settings = GatewaySettings(**changes)
    coming = iter([*[{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]])

    async def receive() -> Any:
        return next(coming, {"type": "http.request", "body": b"", "more_body": False})

    headers = [(b"content-type", media_type.encode())]
    app = SimpleNamespace(state=SimpleNamespace(settings=given_settings))
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers, "app": app}, receive)


async def bodies(request: Request) -> AsyncIterator[JsonWithFiles]:
    async with json_with_files(request) as body:
        yield body


async def refusal(*pieces: bytes, **changes: Any) -> type[OcrQueueError]:
    with pytest.raises(OcrQueueError) as raised:
        async for _ in bodies(request_of(list(pieces), **changes)):
            pass
    return type(raised.value)


def encoded(data: bytes, *, url_safe: bool = False) -> str:
    return (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=5),
    cut=st.integers(1, 9000),
    url_safe=st.booleans(),
    padded=st.booleans(),
    escaped=st.booleans(),
)
async def test_files_in_json_are_what_was_sent(
    sizes: list[int], cut: int, url_safe: bool, padded: bool, escaped: bool
) -> None:
    files = [secrets.token_bytes(size) for size in sizes]
    texts = [encoded(data, url_safe=url_safe) for data in files]
    if not padded:
        texts = [text.rstrip("=") for text in texts]
    body = json.dumps({"files": texts, "note": 'a "quoted" \\ note', "é": [1, None]})
    if escaped:
        body = body.replace("/", "\\/").replace("=", "\\u003d")
    data = body.encode()
    async for read in bodies(request_of([data[at : at + cut] for at in range(0, len(data), cut)])):
        assert read.value["note"] == 'a "quoted" \\ note'
        assert read.value["é"] == [1, None]
        for text, expected in zip(read.value["files"], files, strict=True):
            file = read.file(text, "name")
            assert len(text) <= LONG
            file.file.seek(0)
            assert file.file.read() == expected


async def test_a_file_that_is_all_escapes_is_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(letters: bytes) -> bytes:
        calls.append(len(letters))
        return unescaped(letters)

    unescaped = json_files._unescaped
    monkeypatch.setattr(json_files, "_unescaped", counted)
    for escape, letter in ((b"\\/", b"/"), (b"\\u0041", b"A")):
        data = b'["' + escape * 100_000 + b'"]'
        pieces = [data[at : at + 65_537] for at in range(0, len(data), 65_537)]
        async for body in bodies(request_of(pieces)):
            file = body.file(body.value[0]).file
            file.seek(0)
            assert file.read() == base64.b64decode(letter * 100_000)
    assert len(calls) < 50, "one escape at a time takes a minute for each 20 MB"


async def test_what_is_no_base64_or_too_large_is_refused() -> None:
    long = encoded(bytes(6000))
    assert await refusal(b'{"a": "' + long.encode()[:-1] + b'%"}') is RequestInvalid
    assert await refusal(b'{"a": "' + long.encode() + b"===" + long.encode() + b'"}') is RequestInvalid
    assert await refusal(b'{"a": "' + long.encode()) is RequestInvalid
    assert await refusal(b'{"a": "x\\') is RequestInvalid
    assert await refusal(b'{"a": "' + b"\\ud83d" * 3000 + b'"}') is RequestInvalid
    assert await refusal(b"[" + f'"{long}",'.encode() * (MOST_FILES + 1) + b"0]") is RequestInvalid
    assert await refusal(b'"' + long.encode() + b'"', max_body_bytes=5000) is RequestTooLarge
    assert await refusal(b"[" + b'"short",' * 1000 + b"0]", max_json_bytes=2000) is RequestTooLarge
    assert await refusal(b"[" * 100_000) is RequestInvalid


@pytest.mark.parametrize(
    "body",
    [
        b'{"\\ud800": 1}',
        b'["a\\udc00"]',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"[NaN]",
        b"[-Infinity]",
        '{"a": 1}'.encode("utf-16"),
    ],
)
async def test_what_json_has_not_is_refused(body: bytes) -> None:
    assert await refusal(body) is RequestInvalid


async def test_a_mark_of_utf_8_is_not_looked_at() -> None:
    async for body in bodies(request_of([b'\xef\xbb\xbf{"a": "\\ud83d\\ude00", "a": "\\u0000"}'])):
        assert body.value == {"a": "\0"}


async def test_a_short_file_is_read_too_and_an_empty_one_refused() -> None:
    async for body in bodies(request_of([b'{"a": "aGVsbG8", "b": "", "c": "\xc3\xa9"}'])):
        assert body.file(body.value["a"]).start() == b"hello"
        with pytest.raises(ImageEmpty):
            body.file(body.value["b"])
        with pytest.raises(RequestInvalid):
            body.file(body.value["c"])


async def test_other_types_are_refused_unless_they_are_named() -> None:
    with pytest.raises(RequestMediaType):
        async for _ in bodies(request_of([b"{}"], "text/plain")):
            pass
    async with json_with_files(request_of([b"{}"], "application/x-amz-json-1.1"), "application/x-amz-json-1.1") as body:
        assert body.value == {}
