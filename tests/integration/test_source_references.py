"""References as people have them, and hosts that compress, ask for patience, or do not know the worker any more."""

from __future__ import annotations

import gzip
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import OcrQueue
from ocrqueue.errors import (
    SourceCredentials,
    SourceHttpError,
    SourceNotFound,
    SourceTooLarge,
    SourceUnavailable,
    StorageCredentials,
    StorageDenied,
)
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import FileStorage, Storage, open_storage
from ocrqueue.storage.s3 import S3Storage
from ocrqueue.storage.s3_client import s3_client
from ocrqueue_worker.sources import fetch
from ocrqueue_worker.sources.retry_after import RETRY_AFTER, retry_after
from tests.support.pictures import png
from tests.support.processes import RedisServer, as_environment, wait_until, worker
from tests.support.servers import Exchange, Handler, answer, http_server, s3_error

from .conftest import Installation

pytest_plugins = ["tests.support.server_fixtures"]

PICTURE = png(Image.new("L", (40, 20), 255))
KEYS = [
    "my scan.png",
    " leading.png",
    "trailing ",
    "tab\there.png",
    "a+b.png",
    "100%.png",
    "50%25.png",
    "a#1.png",
    "what?.png",
    "a?b=c&d#e.png",
    "umlaut-ä.png",
    "영수증 1.png",
    "emoji-\U0001f600.png",
    "quote'\"s.png",
    "back\\slash.png",
    "{brace}[1]~^`|<>.png",
    "semi;colon:at@comma,.png",
    "//double//slash.png",
]
"""18 that people have."""


def web(**overrides: object) -> WorkerSettings:
    values: dict[str, object] = {"source_allowed_networks": ("127.0.0.1/32",), "source_connect_timeout_s": 20}
    return load_worker_settings(**(values | overrides))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    opened = FileStorage(tmp_path / "storage")
    opened.ensure()
    return opened


# --- keys --------------------------------------------------------------------------------------------------------


@pytest.fixture
def keyed(s3_settings: WorkerSettings) -> tuple[WorkerSettings, Storage, str]:
    storage = open_storage(s3_settings)
    assert isinstance(storage, S3Storage)
    return s3_settings, storage, storage.bucket


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_reached_as_it_is_spelled(keyed: tuple[WorkerSettings, Storage, str], key: str) -> None:
    settings, storage, bucket = keyed
    client, content = s3_client(settings), uuid.uuid4().bytes
    client.put_object(Bucket=bucket, Key=key, Body=content)
    try:
        assert fetch(f"s3://{bucket}/{key}", settings, storage) == content
    finally:
        client.delete_object(Bucket=bucket, Key=key)


def test_a_key_spelled_as_in_a_url_is_reached_where_none_is_spelled_so(
    keyed: tuple[WorkerSettings, Storage, str],
) -> None:
    settings, storage, bucket = keyed
    client = s3_client(settings)
    client.put_object(Bucket=bucket, Key="my scan ä.png", Body=b"decoded")
    assert fetch(f"s3://{bucket}/my%20scan%20%C3%A4.png", settings, storage) == b"decoded"
    client.put_object(Bucket=bucket, Key="my%20scan%20%C3%A4.png", Body=b"verbatim")
    assert fetch(f"s3://{bucket}/my%20scan%20%C3%A4.png", settings, storage) == b"verbatim"
    for key in ("none%20.png", "a%2F..%2Fb.png", "%00.png", "%ff.png"):
        with pytest.raises(SourceNotFound):
            fetch(f"s3://{bucket}/{key}", settings, storage)


@pytest.mark.parametrize("key", KEYS)
def test_every_name_of_cloud_storage_is_reached_as_it_is_spelled(
    monkeypatch: pytest.MonkeyPatch, storage: Storage, key: str
) -> None:
    pytest.importorskip("google.auth")
    from urllib.parse import unquote

    def serve(exchange: Exchange) -> None:
        path = exchange.target.partition("?")[0]
        named = unquote(path.removeprefix("/storage/v1/b/scans/o/"))
        answer(200, named.encode())(exchange)

    with http_server(serve) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{server.port}")
        assert fetch(f"gs://scans/{key}", web(), storage) == key.encode()


def test_a_job_with_such_a_key_is_read_and_shows_it(installation: Installation) -> None:
    storage = installation.queue.storage
    assert isinstance(storage, S3Storage)
    key = f"{storage.prefix}scans/{uuid.uuid4().hex} #1 50%?.png"
    s3_client(installation.settings).put_object(Bucket=storage.bucket, Key=key, Body=PICTURE)
    document = installation.queue.submit(f"s3://{storage.bucket}/{key}", engine="null").result(60)
    assert document.input.uri == f"s3://{storage.bucket}/{key}"


# --- what is sent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/b/my%20scan.png?X-Amz-Credential=AK%2F2026%2Fs3&X-Amz-Signature=abc%3D",
        "/b/%7Euser/a%2Bb.png?sig=a+b%2Bc",
        "/b/a!b'c(d)*e.png?x={1}|2",
        "/b//double/../dots/./x?sv=%e4%f6&se=2026-01-01T00%3A00%3A00Z",
        "?only=query",
    ],
)
def test_a_url_is_sent_byte_for_byte(storage: Storage, target: str) -> None:
    """A signature holds for these bytes and for no other spelling of them."""
    wanted = target if target.startswith("/") else f"/{target}"

    def serve(exchange: Exchange) -> None:
        if exchange.target == "/first":
            answer(302, location=server.url(wanted))(exchange)
        else:
            answer(200, exchange.target.encode())(exchange)

    with http_server(serve) as server:
        assert fetch(server.url(target), web(), storage).decode() == wanted
        assert fetch(server.url(target) + "#fragment", web(), storage).decode() == wanted
        assert fetch(server.url("/first"), web(), storage).decode() == wanted


# --- compressed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity, gzip", "aws-chunked,gzip"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (gzip.compress(PICTURE), PICTURE),
        (gzip.compress(PICTURE[:50]) + gzip.compress(PICTURE[50:]), PICTURE),
        (gzip.compress(b""), b""),
        (PICTURE, PICTURE),
        (b"", b""),
    ],
    ids=["whole", "two members", "nothing", "not compressed at all", "no byte"],
)
def test_gzip_is_unpacked(storage: Storage, encoding: str, body: bytes, expected: bytes) -> None:
    with http_server(answer(200, body, content_encoding=encoding)) as server:
        assert fetch(server.url("/"), web(), storage) == expected


def test_gzip_is_unpacked_within_the_limit(storage: Storage) -> None:
    small = gzip.compress(bytes(1_000_000))
    with http_server(answer(200, small, content_encoding="gzip")) as server:
        assert len(fetch(server.url("/"), web(source_max_bytes=1_000_000), storage)) == 1_000_000
        with pytest.raises(SourceTooLarge):
            fetch(server.url("/"), web(source_max_bytes=999_999), storage)
    with http_server(answer(200, gzip.compress(bytes(200_000_000), 1), content_encoding="gzip")) as server:
        begun = time.process_time()
        with pytest.raises(SourceTooLarge):
            fetch(server.url("/"), web(source_max_bytes=2_000_000), storage)
        assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "body", [gzip.compress(PICTURE)[:-9], gzip.compress(PICTURE)[:12] + bytes(90)], ids=["cut off", "torn"]
)
def test_gzip_that_is_damaged_is_no_picture(storage: Storage, body: bytes) -> None:
    with http_server(answer(200, body, content_encoding="gzip")) as server, pytest.raises(SourceHttpError) as caught:
        fetch(server.url("/"), web(), storage)
    assert "compressed body" in caught.value.message


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate"])
def test_other_codings_are_named(storage: Storage, encoding: str) -> None:
    with http_server(answer(200, b"x", content_encoding=encoding)) as server, pytest.raises(SourceHttpError) as caught:
        fetch(server.url("/"), web(), storage)
    assert encoding in caught.value.message


def test_objects_that_are_stored_compressed(keyed: tuple[WorkerSettings, Storage, str]) -> None:
    settings, storage, bucket = keyed
    client = s3_client(settings)
    for encoding, body in (("gzip", gzip.compress(PICTURE)), ("aws-chunked", PICTURE), ("gzip", PICTURE)):
        client.put_object(Bucket=bucket, Key="packed.png", Body=body, ContentEncoding=encoding)
        assert fetch(f"s3://{bucket}/packed.png", settings, storage) == PICTURE
    bomb = gzip.compress(bytes(50_000_000))
    client.put_object(Bucket=bucket, Key="packed.png", Body=bomb, ContentEncoding="gzip")
    with pytest.raises(SourceTooLarge):
        fetch(f"s3://{bucket}/packed.png", settings.model_copy(update={"source_max_bytes": 1_000_000}), storage)


# --- patience ------------------------------------------------------------------------------------------------------


def test_what_retry_after_says() -> None:
    assert retry_after("120") == {RETRY_AFTER: 120.0}
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert 80 < retry_after(format_datetime(later, usegmt=True))[RETRY_AFTER] <= 90
    assert retry_after(str(10**9)) == {RETRY_AFTER: 86_400.0}
    for nothing in (None, "", "0", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Foo 2015"):
        assert retry_after(nothing) == {}


@pytest.mark.parametrize("status", [429, 503])
def test_the_error_says_how_long_the_host_wants_to_be_left_alone(storage: Storage, status: int) -> None:
    with http_server(answer(status, retry_after="7")) as server, pytest.raises(SourceUnavailable) as caught:
        fetch(server.url("/"), web(), storage)
    assert caught.value.info.details == {RETRY_AFTER: 7.0}
    with http_server(answer(404, retry_after="7")) as server, pytest.raises(SourceNotFound) as gone:
        fetch(server.url("/"), web(), storage)
    assert gone.value.info.details == {}


def test_a_job_leaves_the_host_alone_for_as_long_as_it_asks(installation: Installation) -> None:
    """Its own first pause would be a tenth of a second."""
    asked: list[float] = []

    def serve(exchange: Exchange) -> None:
        asked.append(time.monotonic())
        (answer(503, retry_after="2") if len(asked) == 1 else answer(200, PICTURE))(exchange)

    with http_server(serve) as server:
        assert installation.queue.submit(server.url("/a.png"), engine="null").wait(60).state == "succeeded"
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 2


# --- S3 servers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.usefixtures("with_keys")
@pytest.mark.parametrize("refusal", [(400, "MissingContentMD5"), (501, "NotImplemented"), (400, "InvalidRequest")])
def test_objects_are_deleted_one_by_one_where_they_cannot_be_together(refusal: tuple[int, str]) -> None:
    def serve(exchange: Exchange) -> None:
        (s3_error(*refusal) if exchange.method == "POST" else answer(204))(exchange)

    with http_server(serve) as server:
        storage = open_storage(web(storage="s3://bucket/x", s3_endpoint=server.url(""), s3_attempts=1))
        storage.delete(["a", "b"])
        storage.delete(["c"])
        assert [(each.method, each.target) for each in server.exchanges] == [
            ("POST", "/bucket?delete"),
            ("DELETE", "/bucket/x/a"),
            ("DELETE", "/bucket/x/b"),
            ("DELETE", "/bucket/x/c"),
        ]


@pytest.mark.usefixtures("with_keys")
def test_what_may_not_be_deleted_is_not_tried_one_by_one() -> None:
    with http_server(s3_error(403, "AccessDenied")) as server:
        storage = open_storage(web(storage="s3://bucket/x", s3_endpoint=server.url(""), s3_attempts=1))
        with pytest.raises(StorageDenied):
            storage.delete(["a", "b"])
        assert [each.method for each in server.exchanges] == ["POST"]


@pytest.mark.usefixtures("with_keys")
def test_an_endpoint_in_the_configuration_file_is_off_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with http_server(answer(200)) as server:
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {server.url('')}\nregion = eu-west-1\n")
        storage = open_storage(web(storage="s3://bucket/x", s3_timeout_s=3.7))
        storage.put("a", b"x", "text/plain")
        (exchange,) = server.exchanges
    assert exchange.target == "/bucket/x/a"
    assert "x-amz-checksum" not in exchange.head.lower()
    assert "x-amz-sdk-checksum" not in exchange.head.lower()


# --- the worker's own credentials ----------------------------------------------------------------------------------


def from_s3(handler: Handler, storage: Callable[[str], Storage]) -> bytes:
    with http_server(handler) as server:
        settings = web(s3_endpoint=server.url(""), s3_attempts=1, s3_timeout_s=60)
        return fetch("s3://bucket/a.png", settings, storage(server.url("")))


@pytest.mark.usefixtures("with_keys")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (400, "InvalidToken"),
        (400, "TokenRefreshRequired"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "RequestTimeTooSkewed"),
    ],
)
def test_bad_credentials_are_the_workers(storage: Storage, status: int, code: str) -> None:
    with pytest.raises(SourceCredentials) as caught:
        from_s3(s3_error(status, code), lambda _: storage)
    assert caught.value.retryable


def test_credentials_that_were_not_there_are_looked_for_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine's role that does not answer for a moment leaves a client without any."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with http_server(answer(200, PICTURE)) as server:
        settings = web(s3_endpoint=server.url(""), s3_attempts=1, s3_timeout_s=60.3)
        with pytest.raises(SourceCredentials):
            fetch("s3://bucket/a.png", settings, storage)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        assert fetch("s3://bucket/a.png", settings, storage) == PICTURE


@pytest.mark.usefixtures("with_keys")
def test_storage_too_says_whose_fault_it_is() -> None:
    with http_server(s3_error(400, "ExpiredToken")) as server, pytest.raises(StorageCredentials) as caught:
        open_storage(web(storage="s3://b/x", s3_endpoint=server.url(""), s3_attempts=1)).put("a", b"x", "text/plain")
    assert caught.value.retryable


@pytest.fixture
def without_retries(redis: RedisServer, tmp_path: Path) -> Iterator[Callable[[str], WorkerSettings]]:
    """Of an installation that gives up at the first failure, its images on the S3 server at the endpoint given."""
    (tmp_path / "storage").mkdir()

    def settings(endpoint: str) -> WorkerSettings:
        return load_worker_settings(
            redis_url=redis.url,
            key_prefix=f"own-{uuid.uuid4().hex[:8]}:",
            storage=f"file://{tmp_path / 'storage'}",
            source_buckets="scans",
            s3_endpoint=endpoint,
            s3_attempts=1,
            retry_limit=0,
            worker_heartbeat_s=1,
        )

    return settings


@pytest.mark.usefixtures("with_keys")
def test_no_job_dies_of_the_workers_credentials(
    without_retries: Callable[[str], WorkerSettings], tmp_path: Path
) -> None:
    """However long they are bad; a denial that is the job's own ends it at once."""
    expired = threading.Event()

    def serve(exchange: Exchange) -> None:
        if exchange.target.endswith("/denied.png"):
            return s3_error(403, "AccessDenied")(exchange)
        return (s3_error(400, "ExpiredToken") if expired.is_set() else answer(200, PICTURE))(exchange)

    with http_server(serve) as server:
        settings = without_retries(server.url(""))
        arguments = ("--engine", "null", "--concurrency", "1")
        with worker(as_environment(settings), tmp_path, *arguments), OcrQueue(settings) as queue:

            def troubles() -> set[str]:
                return {trouble.error.code for each in queue.workers() for trouble in each.troubles}

            denied = queue.submit("s3://scans/denied.png", engine="null")
            status = denied.wait(60)
            expired.set()
            jobs = [queue.submit(f"s3://scans/{number}.png", engine="null") for number in range(3)]
            wait_until(lambda: troubles() == {"source.credentials"}, 60, "the worker says what is wrong")
            assert not any(job.status().finished for job in jobs)
            expired.clear()
            assert [job.wait(60).state for job in jobs] == ["succeeded"] * 3
            assert [job.status().attempts for job in jobs][1:] == [1, 1], "what was not begun is not counted"
    assert status.error is not None
    assert status.error.code == "source.access_denied"
