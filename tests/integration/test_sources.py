"""Fetching references from real servers that fail, lie, stall and lead astray."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ocrqueue.errors import (
    OcrQueueError,
    SourceAccessDenied,
    SourceAddressNotAllowed,
    SourceBucketNotAllowed,
    SourceBucketNotFound,
    SourceCredentials,
    SourceHostNotAllowed,
    SourceHttpError,
    SourceInvalid,
    SourceNotFound,
    SourcePathNotAllowed,
    SourceSchemeNotAllowed,
    SourceTimeout,
    SourceTooLarge,
    SourceTooManyRedirects,
    SourceUnavailable,
)
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import FileStorage, Storage, file_uri_path, open_storage
from ocrqueue.storage.s3_client import s3_client
from ocrqueue_worker.sources import fetch
from ocrqueue_worker.sources.http import _tls_context
from tests.support.servers import (
    S3_ENDPOINT_VARIABLE,
    Exchange,
    Handler,
    answer,
    certificate,
    endless,
    http_server,
    s3_error,
    silent,
)

pytest_plugins = ["tests.support.server_fixtures"]

GIB = 1024**3
SECRET = "X-Amz-Signature=very-secret"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    opened = FileStorage(tmp_path / "storage")
    opened.ensure()
    return opened


def web(**overrides: object) -> WorkerSettings:
    """WorkerSettings under which the servers on 127.0.0.1 may be reached, and no other private address."""
    values: dict[str, object] = {
        "source_allowed_networks": ("127.0.0.1/32",),
        "source_connect_timeout_s": 20,
        "source_timeout_s": 60,
    }
    return load_worker_settings(**(values | overrides))


@contextmanager
def soon() -> Iterator[None]:
    """Also on a busy machine: what is not soon takes 20 s and more here, or never ends."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < 15


# --- any reference ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "image.png",
        "/etc/passwd",
        "http:/one-slash",
        "s3:bucket/key",
        "://host/path",
        "http://host/a b",
        "http://host/a\nb",
        "ht\ttp://host/",
        "\x00http://host/",
        "http://host/\ud800",
        "http://[host/",
        "https://]",
        "http://\u2100/",
        "s3://[/key",
        "gs://[/key",
        "file://[/x",
        "s3://bucket",
        "s3://bucket/",
        "s3:///key",
        "s3://b/key",
        "s3://bucket/a/../b",
        "s3://../key",
        "s3://user@bucket/key",
        "s3://bucket/" + "k" * 1025,
        "file://host/etc/passwd",
        "file:///a%00b",
        "file:///a?b",
        "file:///a#b",
    ],
)
def test_what_is_not_a_reference(uri: str, storage: Storage) -> None:
    with pytest.raises(SourceInvalid) as caught:
        fetch(uri, web(), storage)
    assert not caught.value.retryable
    caught.value.info.model_dump_json()


@pytest.mark.parametrize("uri", ["ftp://host/x", "data://x", "gopher://127.0.0.1:6379/_x", "https://example.org/"])
def test_schemes_that_are_not_on_the_list(uri: str, storage: Storage) -> None:
    with pytest.raises(SourceSchemeNotAllowed):
        fetch(uri, web(source_schemes=("s3", "http", "file")), storage)


def test_a_scheme_that_is_on_the_list_but_unknown(storage: Storage) -> None:
    with pytest.raises(SourceInvalid, match="ftp"):
        fetch("ftp://host/x", web(source_schemes=("ftp",)), storage)


# --- http:// and https:// --------------------------------------------------------------------------------------


def test_an_image_is_fetched_with_its_query_and_plain_headers(storage: Storage) -> None:
    body = os.urandom(300_000)
    with http_server({"/a%20b.png": answer(200, body)}) as server:
        assert fetch(server.url("/a%20b.png?x=1&y=%2F#part"), web(), storage) == body
    (exchange,) = server.exchanges
    assert exchange.target == "/a%20b.png?x=1&y=%2F"
    head = exchange.head.lower()
    assert f"host: 127.0.0.1:{server.port}\r\n" in head
    assert "accept-encoding: identity" in head
    assert "user-agent: ocrqueue/" in head
    assert "cookie" not in head
    assert "authorization" not in head


@pytest.mark.parametrize(
    "handler",
    [
        answer(200, b""),
        answer(204),
        lambda exchange: exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
def test_no_bytes_are_for_the_decoder_to_judge(handler: Handler, storage: Storage) -> None:
    with http_server(handler) as server:
        assert fetch(server.url("/"), web(), storage) == b""


def test_bodies_in_chunks_and_to_the_end_of_the_connection(storage: Storage) -> None:
    def to_the_end(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.0 200 OK\r\n\r\n", b"abc", b"def")
        exchange.connection.close()

    def chunked(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        exchange.send(b"3\r\nabc\r\n", b"3\r\ndef\r\n", b"0\r\n\r\n")

    with http_server({"/chunked": chunked, "/end": to_the_end}) as server:
        assert fetch(server.url("/chunked"), web(), storage) == b"abcdef"
        assert fetch(server.url("/end"), web(), storage) == b"abcdef"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, SourceHttpError),
        (401, SourceAccessDenied),
        (403, SourceAccessDenied),
        (404, SourceNotFound),
        (406, SourceHttpError),
        (408, SourceUnavailable),
        (410, SourceNotFound),
        (418, SourceHttpError),
        (429, SourceUnavailable),
        (500, SourceUnavailable),
        (502, SourceUnavailable),
        (503, SourceUnavailable),
        (206, SourceHttpError),
        (300, SourceHttpError),
        (304, SourceHttpError),
    ],
)
def test_what_the_hosts_statuses_become(status: int, expected: type[OcrQueueError], storage: Storage) -> None:
    with http_server(answer(status, b"" if status == 304 else b"<html>")) as server, pytest.raises(expected) as caught:
        fetch(server.url(f"/dir/a.png?{SECRET}"), web(), storage)
    assert type(caught.value) is expected
    assert str(status) in caught.value.message
    assert "/dir/a.png?..." in caught.value.message
    assert "very-secret" not in str(caught.value)


def test_too_large_by_its_own_account_is_not_read(storage: Storage) -> None:
    with (
        http_server(answer(200, b"x", content_length=str(10 * GIB))) as server,
        soon(),
        pytest.raises(SourceTooLarge, match="1000 bytes"),
    ):
        fetch(server.url("/"), web(source_max_bytes=1000), storage)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n280000000\r\n",
    ],
)
def test_an_endless_body_is_cut_off_at_the_limit(head: bytes, storage: Storage) -> None:
    with http_server(endless(head)) as server, soon(), pytest.raises(SourceTooLarge):
        fetch(server.url("/"), web(source_max_bytes=5_000_000), storage)


def test_the_limit_itself_is_allowed(storage: Storage) -> None:
    with http_server(answer(200, bytes(1000))) as server:
        assert len(fetch(server.url("/"), web(source_max_bytes=1000), storage)) == 1000
        with pytest.raises(SourceTooLarge):
            fetch(server.url("/"), web(source_max_bytes=999), storage)


def test_identity_as_an_encoding_is_none(storage: Storage) -> None:
    with http_server(answer(200, b"x", content_encoding="Identity")) as server:
        assert fetch(server.url("/"), web(), storage) == b"x"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    ],
)
def test_answers_that_break_off_or_break_the_rules(reply: bytes, storage: Storage) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.send(reply)
        exchange.connection.close()

    with http_server(handle) as server, pytest.raises(SourceUnavailable):
        fetch(server.url("/"), web(), storage)


def test_nobody_listens(storage: Storage) -> None:
    with http_server({}) as server:
        pass
    with pytest.raises(SourceUnavailable) as caught:
        fetch(server.url("/"), web(), storage)
    assert caught.value.retryable


def test_a_name_that_does_not_resolve(storage: Storage) -> None:
    with pytest.raises(SourceUnavailable, match="does not resolve"):
        fetch("http://no-such-host.invalid/a.png", web(), storage)


def test_a_host_that_never_answers(storage: Storage) -> None:
    with http_server(silent) as server, soon(), pytest.raises(SourceTimeout, match=r"0\.3 s") as caught:
        fetch(server.url("/"), web(source_connect_timeout_s=0.3), storage)
    assert caught.value.retryable


def test_a_host_that_takes_the_connection_and_never_speaks_tls(storage: Storage) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, soon(), pytest.raises(SourceTimeout):
        fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", web(source_connect_timeout_s=0.3), storage)


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        (b"", b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    ],
)
def test_a_slow_drip_meets_the_deadline(at_once: bytes, slowly: bytes, storage: Storage) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.send(at_once)
        exchange.drip(slowly, 0.02)

    with http_server(handle) as server, soon(), pytest.raises(SourceTimeout, match=r"0\.8 s"):
        fetch(server.url("/"), web(source_timeout_s=0.8), storage)


# --- redirects -------------------------------------------------------------------------------------------------


def redirect(target: str, status: int = 302) -> Handler:
    return answer(status, b"moved", location=target)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int, storage: Storage) -> None:
    with http_server({"/other": answer(200, b"other")}) as other:
        routes = {"/a/1": redirect("../b/2?x=1", status), "/b/2": redirect(other.url("/other"), status)}
        with http_server(routes) as server:
            assert fetch(server.url("/a/1"), web(), storage) == b"other"
    assert [exchange.target for exchange in server.exchanges] == ["/a/1", "/b/2?x=1"]


def test_redirects_are_counted(storage: Storage) -> None:
    hops = {f"/{n}": redirect(f"/{n + 1}?{SECRET}") for n in range(3)} | {"/3": answer(200, b"here")}
    with http_server(hops) as server:
        assert fetch(server.url("/0"), web(source_max_redirects=3), storage) == b"here"
        with pytest.raises(SourceTooManyRedirects) as caught:
            fetch(server.url(f"/0?{SECRET}"), web(source_max_redirects=2), storage)
        assert "very-secret" not in str(caught.value)
        with pytest.raises(SourceTooManyRedirects):
            fetch(server.url("/0"), web(source_max_redirects=0), storage)
    with http_server(redirect("/")) as server, pytest.raises(SourceTooManyRedirects):
        fetch(server.url("/"), web(), storage)
    assert len(server.exchanges) == 6


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://127.0.0.2:{port}/x", SourceAddressNotAllowed),
        ("http://localhost.:{port}@127.0.0.2:{port}/x", SourceInvalid),
        ("http://169.254.169.254/latest/meta-data/", SourceAddressNotAllowed),
        ("//10.0.0.1/", SourceAddressNotAllowed),
        ("http://[::1]:{port}/", SourceAddressNotAllowed),
        ("http://[::ffff:127.0.0.2]:{port}/", SourceAddressNotAllowed),
        ("http://0x7f.2:{port}/", SourceAddressNotAllowed),
        ("http://2130706434:{port}/", SourceAddressNotAllowed),
        ("http://0.0.0.0:{port}/", SourceAddressNotAllowed),
        ("file:///etc/passwd", SourceSchemeNotAllowed),
        ("s3://bucket/key", SourceSchemeNotAllowed),
        ("gopher://127.0.0.1:{port}/", SourceSchemeNotAllowed),
        ("https://127.0.0.1:{port}/", SourceSchemeNotAllowed),
        ("http://user:very-secret@127.0.0.1:{port}/", SourceInvalid),
        ("http://[::1", SourceHttpError),
        ("http://host:port/", SourceHttpError),
        ("http://127%2e0.0.2:{port}/", SourceInvalid),
    ],
)
def test_redirects_that_lead_astray(target: str, expected: type[OcrQueueError], storage: Storage) -> None:
    settings = web(source_schemes=("http", "s3", "file"))
    with http_server({}, host="0.0.0.0") as inner:
        with (
            http_server(redirect(target.format(port=inner.port) + "?very-secret")) as server,
            pytest.raises(expected) as caught,
        ):
            fetch(server.url("/"), settings, storage)
        assert type(caught.value) is expected
        assert "very-secret" not in str(caught.value)
    assert not inner.exchanges


def test_a_redirect_without_a_target(storage: Storage) -> None:
    with http_server(answer(302)) as server, pytest.raises(SourceHttpError, match="no valid address"):
        fetch(server.url("/"), web(), storage)


def test_the_list_of_hosts_holds_for_every_hop(storage: Storage) -> None:
    settings = web(source_hosts=("localhost",), source_allowed_networks=("127.0.0.0/8", "::1/128"))
    with http_server({"/ok": answer(200, b"ok"), "/away": redirect("http://127.0.0.1:1/")}) as server:
        assert fetch(server.url("/ok", host="localhost"), settings, storage) == b"ok"
        with pytest.raises(SourceHostNotAllowed, match=r"127\.0\.0\.1"):
            fetch(server.url("/away", host="localhost"), settings, storage)
        with pytest.raises(SourceHostNotAllowed):
            fetch(server.url("/ok"), settings, storage)


# --- addresses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_this_machine_is_out_of_reach_however_it_is_written(host: str, storage: Storage) -> None:
    with http_server(answer(200, b"inner"), host="0.0.0.0") as server:
        with pytest.raises(SourceAddressNotAllowed):
            fetch(server.url("/", host=host), load_worker_settings(), storage)
        assert not server.exchanges
        open_settings = load_worker_settings(source_allow_private_addresses=True)
        assert fetch(server.url("/", host=host), open_settings, storage) == b"inner"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Iterator[str]]:
    """A name server: each look-up of a name takes the next of its addresses."""
    table: dict[str, Iterator[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: object, *args: object, **kwargs: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        return real(next(table[name]) if name in table else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table


def test_dns_rebinding_finds_only_the_address_that_was_checked(
    names: dict[str, Iterator[str]], storage: Storage
) -> None:
    names["rebind.example"] = iter(["127.0.0.1", "127.0.0.2", "127.0.0.2"])
    with http_server(answer(200, b"outer")) as server:
        assert fetch(server.url("/", host="rebind.example"), web(), storage) == b"outer"
        assert next(names["rebind.example"]) == "127.0.0.2"  # one look-up was made
        with pytest.raises(SourceAddressNotAllowed):
            fetch(server.url("/", host="rebind.example"), web(), storage)
    (exchange,) = server.exchanges
    assert f"host: rebind.example:{server.port}" in exchange.head.lower()


def test_the_next_address_is_tried_where_one_does_not_answer(monkeypatch: pytest.MonkeyPatch, storage: Storage) -> None:
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: object, **kwargs: object) -> object:
        if host != "two.example":
            return real(host, port, *args, **kwargs)
        return [entry for address in ("127.0.0.9", "127.0.0.1") for entry in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with http_server(answer(200, b"second")) as server:
        settings = web(source_allowed_networks=("127.0.0.0/8",))
        assert fetch(server.url("/", host="two.example"), settings, storage) == b"second"


# --- https:// --------------------------------------------------------------------------------------------------


@pytest.fixture
def _own_tls_context() -> Iterator[None]:
    _tls_context.cache_clear()
    yield
    _tls_context.cache_clear()


@pytest.mark.usefixtures("_own_tls_context")
def test_a_certificate_is_checked_against_the_name_and_not_the_address(
    names: dict[str, Iterator[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, storage: Storage
) -> None:
    authority, context = certificate(["images.example", "127.0.0.1"], tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    asked_for: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    names |= {name: itertools.repeat("127.0.0.1") for name in ("images.example", "other.example")}
    routes = {"/": answer(200, b"image"), "/away": redirect("https://other.example:{port}/")}
    with http_server(routes, tls=context) as server:
        assert fetch(server.url("/", host="images.example"), web(), storage) == b"image"
        assert fetch(server.url("/"), web(), storage) == b"image"
        with pytest.raises(SourceHttpError, match="certificate") as caught:
            fetch(server.url(f"/?{SECRET}", host="other.example"), web(), storage)
    assert asked_for == ["images.example", None, "other.example"]
    assert "SSL_CERT_FILE" in caught.value.info.remedy
    assert "very-secret" not in str(caught.value)
    assert not caught.value.retryable
    assert len(server.exchanges) == 2


@pytest.mark.usefixtures("_own_tls_context")
def test_unknown_authorities_and_expired_certificates_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, storage: Storage
) -> None:
    authority, expired = certificate(["127.0.0.1"], tmp_path, expired=True)
    _, unknown = certificate(["127.0.0.1"], tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    for context in (expired, unknown):
        with http_server(answer(200, b"x"), tls=context) as server, pytest.raises(SourceHttpError, match="certificate"):
            fetch(server.url("/"), web(), storage)
        assert not server.exchanges


def test_https_to_a_server_that_speaks_http(storage: Storage) -> None:
    def greet(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        with pytest.raises(SourceUnavailable, match="TLS"):
            fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", web(), storage)
        thread.join()


# --- s3:// -----------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(s3_settings: WorkerSettings) -> tuple[WorkerSettings, Storage, str]:
    """WorkerSettings, their storage, and the URI of an object in it."""
    storage = open_storage(s3_settings)
    return s3_settings, storage, storage.put("inputs/ä#1?%20.png", b"0123456789" * 20_000, "image/png")


def test_an_object_is_fetched(bucket: tuple[WorkerSettings, Storage, str]) -> None:
    settings, storage, uri = bucket
    assert fetch(uri, settings, storage) == b"0123456789" * 20_000
    assert fetch(storage.put("empty", b"", "image/png"), settings, storage) == b""


def test_missing_objects_and_buckets_are_told_apart(bucket: tuple[WorkerSettings, Storage, str]) -> None:
    settings, storage, _ = bucket
    with pytest.raises(SourceNotFound, match="inputs/none"):
        fetch(storage.uri("inputs/none"), settings, storage)
    missing = f"missing-{uuid.uuid4().hex[:8]}"
    with pytest.raises(SourceBucketNotFound, match=missing):
        fetch(f"s3://{missing}/a.png", settings, storage)


def test_objects_are_cut_off_at_the_limit(bucket: tuple[WorkerSettings, Storage, str]) -> None:
    settings, storage, _ = bucket
    uri = storage.put("big", bytes(200_000), "image/png")
    assert len(fetch(uri, settings.model_copy(update={"source_max_bytes": 200_000}), storage)) == 200_000
    with pytest.raises(SourceTooLarge, match="199999 bytes"):
        fetch(uri, settings.model_copy(update={"source_max_bytes": 199_999}), storage)


def test_the_list_of_buckets(bucket: tuple[WorkerSettings, Storage, str]) -> None:
    settings, storage, _ = bucket
    other = f"other-{uuid.uuid4().hex[:8]}"
    client = s3_client(settings)
    client.create_bucket(Bucket=other)
    client.put_object(Bucket=other, Key="a", Body=b"other")
    own = storage.put("a", b"own", "image/png")
    listed = settings.model_copy(update={"source_buckets": ("listed",)})
    try:
        assert fetch(f"s3://{other}/a", settings, storage) == b"other"
        assert fetch(own, listed, storage) == b"own"
        with pytest.raises(SourceBucketNotAllowed, match=other):
            fetch(f"s3://{other}/a", listed, storage)
        with pytest.raises(SourceBucketNotFound):
            fetch("s3://listed/a", listed, storage)
        # What producers uploaded is read whatever the schemes.
        assert fetch(own, settings.model_copy(update={"source_schemes": ("https",)}), storage) == b"own"
    finally:
        client.delete_object(Bucket=other, Key="a")
        client.delete_bucket(Bucket=other)


def test_objects_that_the_credentials_may_not_read(
    bucket: tuple[WorkerSettings, Storage, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if S3_ENDPOINT_VARIABLE not in os.environ:
        pytest.skip("moto takes any credentials")
    settings, storage, _ = bucket
    uri = storage.put("a", b"x", "image/png")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "no-such-user")
    with pytest.raises(SourceCredentials, match="InvalidAccessKeyId"):
        fetch(uri, settings.model_copy(update={"s3_timeout_s": 12.0}), storage)


def from_s3(handler: Handler, storage: Storage, monkeypatch: pytest.MonkeyPatch, **overrides: object) -> bytes:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with http_server(handler) as server:
        settings = web(**{"s3_endpoint": server.url(""), "s3_attempts": 1, "s3_timeout_s": 60, **overrides})
        return fetch("s3://bucket/a.png", settings, storage)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AccessDenied", SourceAccessDenied),
        (403, "InvalidObjectState", SourceAccessDenied),
        (404, "NoSuchKey", SourceNotFound),
        (404, "NoSuchBucket", SourceBucketNotFound),
        (400, "InvalidRequest", SourceHttpError),
        (301, "PermanentRedirect", SourceHttpError),
        (503, "SlowDown", SourceUnavailable),
        (500, "InternalError", SourceUnavailable),
    ],
)
def test_what_the_s3_servers_errors_become(
    status: int, code: str, expected: type[OcrQueueError], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(expected) as caught:
        from_s3(s3_error(status, code, "very-secret"), storage, monkeypatch)
    assert type(caught.value) is expected
    assert "very-secret" not in str(caught.value)


def test_an_object_of_10_gib(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    told = answer(200, b"x", content_length=str(10 * GIB))
    untold = endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for handler in (told, untold):
        with soon(), pytest.raises(SourceTooLarge):
            from_s3(handler, storage, monkeypatch, source_max_bytes=3_000_000)


def test_an_s3_server_that_drips_meets_the_deadline(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        exchange.drip(bytes(100_000), 0.02)

    with soon(), pytest.raises(SourceTimeout):
        from_s3(handle, storage, monkeypatch, source_timeout_s=0.6, s3_timeout_s=2)
    with soon(), pytest.raises(SourceTimeout):
        from_s3(silent, storage, monkeypatch, source_timeout_s=0.6, s3_timeout_s=2)


def test_an_object_that_breaks_off(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        exchange.connection.close()

    with pytest.raises(SourceUnavailable):
        from_s3(handle, storage, monkeypatch)


# --- file:// ---------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a b%.png").write_bytes(b"scan")
    (tmp_path / "outside.png").write_bytes(b"outside")
    return folder


def files(root: Path, **overrides: object) -> WorkerSettings:
    return load_worker_settings(source_file_roots=(str(root),), **overrides)


def test_files_below_the_roots_and_in_the_storage_are_read(root: Path, storage: Storage) -> None:
    assert fetch(f"file://{root}/a%20b%25.png", files(root), storage) == b"scan"
    assert fetch(f"file://localhost{root}/a%20b%25.png", files(root), storage) == b"scan"
    uploaded = storage.put(f"inputs/{'0' * 64}.png", b"uploaded", "image/png")
    assert fetch(uploaded, load_worker_settings(source_schemes=("https",)), storage) == b"uploaded"


@pytest.mark.parametrize("below_a_root", [False, True])
def test_what_jobs_have_stored_is_no_source(tmp_path: Path, storage: Storage, below_a_root: bool) -> None:
    stored = file_uri_path(storage.put("results/j1/result.json", b"secret", "application/json"))
    (tmp_path / "alias").symlink_to(Path(stored).parent)
    settings = load_worker_settings(source_file_roots=("/",)) if below_a_root else load_worker_settings()
    for path in [
        stored,
        f"//{stored}",
        f"/proc/self/root{stored}",
        f"/proc/thread-self/root{stored}",
        stored.replace("/results/", "/inputs/../results/"),
        stored.replace("/results/", "/r%65sults/"),
        f"{tmp_path}/alias/result.json",
    ]:
        with pytest.raises(SourcePathNotAllowed):
            fetch(f"file://{path}", settings, storage)


def swapped_link(root: Path, target: str | Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A symlink to a file below `root`, which leads to `target` from the moment in which it is opened."""
    link = root / "link"
    link.symlink_to(root / "a b%.png")
    real_open = os.open

    def swap_and_open(path: str, flags: int, *rest: int, **kwargs: int) -> int:
        if path == str(link):
            link.unlink()
            link.symlink_to(target)
        return real_open(path, flags, *rest, **kwargs)

    monkeypatch.setattr(os, "open", swap_and_open)
    return link


def test_a_symlink_that_comes_to_lead_to_what_a_job_has_stored(
    root: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = file_uri_path(storage.put("results/j1/result.json", b"secret", "application/json"))
    link = swapped_link(root, stored, monkeypatch)
    with pytest.raises(SourcePathNotAllowed):
        fetch(f"file://{link}", load_worker_settings(source_file_roots=("/",)), storage)


def test_what_no_job_has_stored_in_the_storages_folder_is_read(storage: Storage) -> None:
    other = storage.put("something/else.png", b"other", "image/png")
    assert fetch(other, load_worker_settings(), storage) == b"other"


def test_files_elsewhere_are_refused_there_or_not(root: Path, tmp_path: Path, storage: Storage) -> None:
    for uri in [
        "file:///etc/passwd",
        "file:///etc/no-such-file",
        f"file://{tmp_path}/outside.png",
        f"file://{root}/../outside.png",
        f"file://{root}/%2e%2e/outside.png",
        f"file://{root}-too/a.png",
        f"file://{root}",
        f"file://{root}/",
        "file:///proc/self/environ",
        "file:///dev/zero",
    ]:
        with pytest.raises(SourcePathNotAllowed):
            fetch(uri, files(root), storage)
        with pytest.raises(SourcePathNotAllowed):
            fetch(uri, load_worker_settings(), storage)


def test_symlinks_may_not_lead_out_of_the_roots(root: Path, tmp_path: Path, storage: Storage) -> None:
    (root / "inside").symlink_to(root / "a b%.png")
    (root / "out").symlink_to(tmp_path / "outside.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "hop").symlink_to(root / "out")
    (root / "loop").symlink_to(root / "loop")
    assert fetch(f"file://{root}/inside", files(root), storage) == b"scan"
    for name in ("out", "folder/outside.png", "hop"):
        with pytest.raises(SourcePathNotAllowed):
            fetch(f"file://{root}/{name}", files(root), storage)
    with pytest.raises(SourceInvalid):
        fetch(f"file://{root}/loop", files(root), storage)
    (tmp_path / "alias").symlink_to(root)
    assert fetch(f"file://{tmp_path}/alias/inside", files(tmp_path / "alias"), storage) == b"scan"


def test_a_symlink_that_changes_between_the_check_and_the_opening(
    root: Path, tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = swapped_link(root, tmp_path / "outside.png", monkeypatch)
    with pytest.raises(SourcePathNotAllowed):
        fetch(f"file://{link}", files(root), storage)
    assert link.readlink() == tmp_path / "outside.png"


def test_only_regular_files_are_read(root: Path, storage: Storage) -> None:
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    (root / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        for name in ("fifo", "folder", "socket"):
            with soon(), pytest.raises(SourceInvalid):
                fetch(f"file://{root}/{name}", files(root), storage)
    with pytest.raises(SourceInvalid):
        fetch("file:///dev/null", files(Path("/dev")), storage)


def test_missing_and_forbidden_files(root: Path, storage: Storage) -> None:
    for name in ("none.png", "a%20b%25.png/x"):
        with pytest.raises(SourceNotFound):
            fetch(f"file://{root}/{name}", files(root), storage)
    with pytest.raises(SourceInvalid):
        fetch(f"file://{root}/{'n' * 300}", files(root), storage)
    if os.geteuid() != 0:  # root may read all
        (root / "secret").write_bytes(b"x")
        (root / "secret").chmod(0)
        with pytest.raises(SourceAccessDenied):
            fetch(f"file://{root}/secret", files(root), storage)


def test_large_files_and_files_that_understate_their_size(root: Path, storage: Storage) -> None:
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(10 * GIB)
    with soon(), pytest.raises(SourceTooLarge):
        fetch(f"file://{root}/sparse", files(root), storage)
    assert fetch(f"file://{root}/a%20b%25.png", files(root, source_max_bytes=4), storage) == b"scan"
    with pytest.raises(SourceTooLarge):
        fetch(f"file://{root}/a%20b%25.png", files(root, source_max_bytes=3), storage)
    with pytest.raises(SourceTooLarge):  # procfs says that its files are empty
        fetch("file:///proc/cpuinfo", files(Path("/proc"), source_max_bytes=10), storage)


def test_no_descriptor_is_left_open(root: Path, storage: Storage) -> None:
    (root / "folder").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        for name in ("folder", "none", "a%20b%25.png"):
            with suppress(OcrQueueError):
                fetch(f"file://{root}/{name}", files(root), storage)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
