"""Storage against a real S3 server and a real folder: one contract, then what is particular to each."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import resource
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import pytest

from ocrqueue.errors import (
    OcrQueueError,
    SettingsInvalid,
    StorageCredentials,
    StorageDenied,
    StorageNotFound,
    StorageUnavailable,
)
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import FileStorage, Storage, open_storage
from ocrqueue.storage.s3_client import s3_client
from tests.support.servers import (
    S3_ENDPOINT_VARIABLE,
    Exchange,
    Handler,
    HttpServer,
    answer,
    http_server,
    s3_error,
    silent,
)

pytest_plugins = ["tests.support.server_fixtures"]

ODD_KEYS = [
    "results/a b/crops/p001-w0001.png",
    "results/ä/한국어.png",
    "results/100%25?x=1#y&z+w.png",
    "results/quote'\"<&>.png",
]


@pytest.fixture(params=["s3", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return open_storage(request.getfixturevalue("s3_settings"))
    opened = open_storage(load_worker_settings(storage=f"file://{tmp_path}/of%20results"))
    opened.ensure()
    return opened


# --- the contract ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["inputs/0.png", *ODD_KEYS])
def test_what_is_put_is_got_by_key_and_by_uri(storage: Storage, key: str) -> None:
    data = os.urandom(3000)

    uri = storage.put(key, data, "image/png")

    assert uri == storage.uri(key)
    assert storage.owns(uri)
    assert storage.get(key) == data
    assert storage.read_uri(uri) == data
    assert list(storage.list("")) == [key]


def test_a_second_put_replaces_the_first_and_may_be_empty(storage: Storage) -> None:
    storage.put("a/b", b"long before", "text/plain")
    storage.put("a/b", b"", "text/plain")
    assert storage.get("a/b") == b""
    assert storage.read_uri(storage.uri("a/b")) == b""


def test_a_file_is_put_from_its_beginning(storage: Storage, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    with (tmp_path / "source").open("w+b") as file:
        file.write(content)
        for _ in range(2):
            uri = storage.put_file("results/new/outputs/document.pdf", file, "application/pdf")
    assert storage.read_uri(uri) == storage.get("results/new/outputs/document.pdf") == content
    assert list(storage.list("results/new")) == ["results/new/outputs/document.pdf"]
    with (tmp_path / "source").open("rb") as file, pytest.raises(StorageDenied):
        storage.put_file("../elsewhere", file, "application/pdf")


def test_what_is_put_once_is_put_once(storage: Storage) -> None:
    key = "results/1/result.json"
    assert storage.put_once(key, b"first", "application/json") == b"first"
    assert storage.put_once(key, b"second", "application/json") == b"first"
    assert storage.get(key) == b"first"
    assert list(storage.list("")) == [key]
    storage.delete_prefix("results/1")
    assert storage.put_once(key, b"second", "application/json") == b"second"
    with pytest.raises(StorageDenied):
        storage.put_once("../x", b"", "text/plain")


def test_of_several_writers_at_once_one_is_the_first_and_all_learn_of_it(storage: Storage) -> None:
    if not uri_is_file(storage.uri("a")) and S3_ENDPOINT_VARIABLE not in os.environ:
        pytest.skip("moto looks and writes in two steps")
    writers, rounds = 6, 8
    together = threading.Barrier(writers)

    def write(writer: int) -> list[bytes]:
        stored = []
        for number in range(rounds):
            together.wait(30)
            stored.append(storage.put_once(f"results/{number}/result.json", bytes([writer]) * 50_000, "text/plain"))
        return stored

    with ThreadPoolExecutor(writers) as pool:
        of_each = list(pool.map(write, range(writers)))
    for number in range(rounds):
        assert {stored[number] for stored in of_each} == {storage.get(f"results/{number}/result.json")}


def test_exists_tells_objects_from_folders_and_nothing(storage: Storage) -> None:
    storage.put("results/1/result.json", b"{}", "application/json")
    assert storage.exists("results/1/result.json")
    assert not storage.exists("results/1")
    assert not storage.exists("results/2/result.json")


def test_a_copy_is_an_object_of_its_own(storage: Storage) -> None:
    storage.put("results/a/crops.zip", b"crops", "application/zip")
    uri = storage.copy("results/a/crops.zip", "results/b/crops/deep.zip")
    assert uri == storage.uri("results/b/crops/deep.zip")
    assert storage.copy("results/a/crops.zip", "results/b/crops/deep.zip") == uri, "again"
    storage.put("results/a/crops.zip", b"others", "application/zip")
    assert storage.get("results/b/crops/deep.zip") == b"crops"
    storage.delete(["results/a/crops.zip"])
    assert storage.read_uri(storage.copy_uri(uri, "results/c/crops.zip")) == b"crops"
    with pytest.raises(StorageNotFound):
        storage.copy("results/a/crops.zip", "results/d/crops.zip")
    with pytest.raises(StorageDenied):
        storage.copy_uri("s3://elsewhere/results/a/crops.zip", "results/d/crops.zip")
    assert sorted(storage.list("results")) == ["results/b/crops/deep.zip", "results/c/crops.zip"]


def test_a_copy_on_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    storage = FileStorage(tmp_path)
    storage.put("a", b"x", "text/plain")
    assert storage.read_uri(storage.copy("a", "folder/b")) == b"x"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a", "b"]


def test_a_missing_object_is_storage_not_found(storage: Storage) -> None:
    with pytest.raises(StorageNotFound, match=r"results/none"):
        storage.get("results/none")
    with pytest.raises(StorageNotFound):
        storage.read_uri(storage.uri("results/none"), 0, 10)


def test_ranges(storage: Storage) -> None:
    uri = storage.put("archive.zip", b"0123456789", "application/zip")
    assert storage.read_uri(uri, 2, 3) == b"234"
    assert storage.read_uri(uri, 7) == b"789"
    assert storage.read_uri(uri, length=4) == b"0123"
    assert storage.read_uri(uri, 9, 1) == b"9"
    assert storage.read_uri(uri, 3, 0) == b""


@pytest.mark.parametrize("size", [0, 1, 4, 8, 9])
def test_an_object_comes_in_pieces(storage: Storage, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("ocrqueue.storage.base._PIECE_BYTES", 4)
    uri = storage.put("large", bytes(range(size)), "application/octet-stream")
    pieces = list(storage.pieces(uri))
    assert b"".join(pieces) == bytes(range(size))
    assert max(map(len, pieces), default=0) <= 4
    with pytest.raises(StorageNotFound):
        list(storage.pieces(storage.uri("none")))


def test_a_folder_has_no_presigned_urls(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    assert storage.presigned_get(storage.uri("a"), 60) is None
    assert storage.presigned_put("a", 60, 1) is None
    with pytest.raises(StorageDenied):
        storage.presigned_get("file:///etc/passwd", 60)


def test_a_bucket_has_presigned_urls(s3_settings: WorkerSettings) -> None:
    storage = open_storage(s3_settings)
    put = storage.presigned_put("inputs/a", 60, 5)
    assert put is not None
    assert httpx.put(put, content=b"12345", trust_env=False, timeout=60).status_code == 200
    got = storage.presigned_get(storage.uri("inputs/a"), 60, "text/plain")
    assert got is not None
    answer = httpx.get(got, trust_env=False, timeout=60)
    assert (answer.content, answer.headers["content-type"].partition(";")[0]) == (b"12345", "text/plain")
    with pytest.raises(StorageDenied):
        storage.presigned_get("s3://elsewhere/a", 60)


@pytest.mark.parametrize(("offset", "length"), [(8, 3), (10, 1), (10, None), (99, 5), (-1, 2), (0, -1)])
def test_a_range_that_the_object_does_not_have(storage: Storage, offset: int, length: int | None) -> None:
    uri = storage.put("archive.zip", b"0123456789", "application/zip")
    with pytest.raises(StorageNotFound):
        storage.read_uri(uri, offset, length)


def test_uris_of_other_places_are_refused(storage: Storage) -> None:
    storage.put("a", b"x", "text/plain")
    root = storage.uri("a")[:-2]
    parent = root.rpartition("/")[0]
    for uri in [
        f"{root}-too/a",
        f"{parent}/a",
        f"{root}/../a",
        f"{root}/b/%2e%2e/%2e%2e/a" if uri_is_file(root) else f"{root}/b/../../a",
        root,
        f"{root}/",
        "s3://another-bucket/a",
        "file:///etc/passwd",
        "https://example.org/a",
        "",
        "file://[",
        "s3://[/a",
        "http://[/a",
    ]:
        assert not storage.owns(uri), uri
        with pytest.raises(StorageDenied):
            storage.read_uri(uri)


def test_what_a_uri_leads_to_is_told_however_it_is_written(storage: Storage) -> None:
    uri = storage.put("results/a/b.json", b"x", "text/plain")
    root = uri.removesuffix("/results/a/b.json")
    odd = [
        f"{root}//results/./a/b.json",
        f"{root}/x/../results/a/b.json",
        f"{root}/%72esults/a/b.json",
    ]
    if uri_is_file(root):
        path = root.removeprefix("file://")
        odd += [f"file:////{path}/results/a/b.json", f"file://localhost/proc/self/root{path}/results/a/b.json"]
    else:
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        odd += [
            f"s3://{bucket.upper()}/{prefix}/results/a/b.json",
            f"gs://{bucket}/{prefix}/results/a/b.json",
            f"s3://{bucket}/{prefix}%2Fresults/a%2fb.json",
            f"s3://{bucket}/{prefix}/results%252Fa/b.json",
            f"s3://{bucket}//{prefix}/results/a/b.json",
        ]
    for each in [uri, *odd]:
        assert "results/a/b.json" in storage.keys_behind(each), each
    assert storage.keys_behind(root)[0] == ""
    for other in [
        f"{root}-too/results/a",
        "s3://another-bucket/results/a",
        "https://example.org/results/a",
        "file://[",
    ]:
        assert not storage.keys_behind(other), other


def uri_is_file(uri: str) -> bool:
    return uri.startswith("file:")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", "a\0b", ".."])
def test_keys_that_lead_elsewhere_are_refused(storage: Storage, key: str) -> None:
    attempts: list[Callable[[str], object]] = [
        lambda key: storage.put(key, b"x", "text/plain"),
        storage.get,
        storage.exists,
        storage.uri,
    ]
    for attempt in attempts:
        with pytest.raises(StorageDenied):
            attempt(key)


def test_list_and_delete_take_a_folder_and_not_its_neighbours(storage: Storage) -> None:
    kept = {"results/10/result.json", "results/1.json", "inputs/1/x"}
    gone = {"results/1/result.json", "results/1/crops/p001-w0001.png", "results/1/crops/p001-w0002.png"}
    for key in kept | gone:
        storage.put(key, b"x", "text/plain")

    assert set(storage.list("results/1")) == set(storage.list("results/1/")) == gone
    assert set(storage.list("")) == kept | gone
    assert storage.delete_prefix("results/1") == 3
    assert set(storage.list("")) == kept
    assert storage.delete_prefix("results/1") == 0
    assert list(storage.list("nothing/here")) == []


@pytest.mark.parametrize("prefix", ["", "/", "..", "results/../..", "/etc"])
def test_all_or_elsewhere_is_not_deleted(storage: Storage, prefix: str) -> None:
    storage.put("results/1", b"x", "text/plain")
    with pytest.raises(StorageDenied):
        storage.delete_prefix(prefix)
    assert storage.exists("results/1")


def test_put_many_stores_all_and_keeps_the_order(storage: Storage) -> None:
    items = [(f"crops/p001-w{n:04d}.png", str(n).encode(), "image/png") for n in range(60)]

    uris = storage.put_many(iter(items), threads=4)

    assert uris == tuple(storage.uri(key) for key, _, _ in items)
    assert [storage.read_uri(uri) for uri in uris] == [data for _, data, _ in items]
    assert storage.put_many([], threads=4) == ()


def test_put_many_takes_items_as_uploads_finish_and_stops_at_the_first_failure(storage: Storage) -> None:
    taken: list[int] = []

    def items() -> Iterator[tuple[str, bytes, str]]:
        for number in range(500):
            taken.append(number)
            yield ("../escape" if number == 20 else f"crops/{number}", b"x", "image/png")

    with pytest.raises(StorageDenied, match="escape"):
        storage.put_many(items(), threads=3)

    assert 20 <= taken[-1] <= 20 + 2 * 3
    settled = set(storage.list(""))
    assert {f"crops/{number}" for number in range(20)} <= settled
    assert not any(thread.name.startswith("ocrqueue-put") for thread in threading.enumerate())


def test_put_many_begins_no_upload_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    is_under_way, is_stopped = threading.Event(), threading.Event()
    shut_down = ThreadPoolExecutor.shutdown

    def stop(pool: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
        shut_down(pool, wait=False, cancel_futures=cancel_futures)
        is_stopped.set()
        shut_down(pool, wait=wait)

    class HeldStorage(FileStorage):
        def put(self, key: str, data: bytes, content_type: str) -> str:
            begun.append(key)
            if key == "fails":
                assert is_under_way.wait(60)
                raise StorageUnavailable
            is_under_way.set()
            # until the failure is known where uploads are begun
            assert is_stopped.wait(60)
            return super().put(key, data, content_type)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", stop)
    storage = HeldStorage(tmp_path)
    with pytest.raises(StorageUnavailable):
        storage.put_many([(key, b"x", "text/plain") for key in ("fails", "a", "b", "c")], threads=2)

    assert "c" not in begun  # "b" may have begun in the moment of the failure
    assert set(storage.list("")) == set(begun) - {"fails"}  # what had begun was waited for


def test_put_many_passes_on_what_the_items_raise(storage: Storage) -> None:
    def items() -> Iterator[tuple[str, bytes, str]]:
        yield ("a", b"x", "image/png")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.put_many(items(), threads=2)


def _put_in_child(storage: Storage) -> None:
    storage.put("from/child", b"child", "text/plain")
    assert storage.get("from/parent") == b"parent"


def test_storage_works_on_both_sides_of_a_fork(storage: Storage) -> None:
    storage.put("from/parent", b"parent", "text/plain")
    child = multiprocessing.get_context("fork").Process(target=_put_in_child, args=(storage,))
    # what other tests have left, such as functions of TensorFlow, is not to be collected in the child
    gc.freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads, which the child ignores
        child.start()
    gc.unfreeze()
    for _ in range(20):
        storage.put("from/parent", b"parent", "text/plain")
    child.join(30)
    assert child.exitcode == 0
    assert storage.get("from/child") == b"child"


def test_check_and_ensure(storage: Storage) -> None:
    storage.check()
    storage.ensure()
    storage.check()


# --- s3:// -----------------------------------------------------------------------------------------------------


def test_the_content_type_is_kept(s3_settings: WorkerSettings) -> None:
    storage = open_storage(s3_settings)
    storage.put("a.png", b"x", "image/png")
    bucket, _, folder = s3_settings.storage.removeprefix("s3://").partition("/")
    assert s3_client(s3_settings).head_object(Bucket=bucket, Key=f"{folder}/a.png")["ContentType"] == "image/png"


def test_a_bucket_without_prefix(s3_endpoint: str, s3_bucket: str) -> None:
    storage = open_storage(load_worker_settings(storage=f"s3://{s3_bucket}", s3_endpoint=s3_endpoint))
    assert storage.put("top", b"x", "text/plain") == f"s3://{s3_bucket}/top"
    assert storage.put("own/b", b"x", "text/plain") == f"s3://{s3_bucket}/own/b"
    assert storage.get("own/b") == b"x"
    assert "own/b" in set(storage.list(""))
    assert storage.delete_prefix("own") == 1
    assert storage.exists("top")


@pytest.mark.slow
def test_more_objects_than_one_page_of_the_listing_holds(s3_settings: WorkerSettings) -> None:
    storage = open_storage(s3_settings)
    keys = {f"many/{number:04d}" for number in range(1010)}
    storage.put_many(((key, b"", "text/plain") for key in keys), threads=8)
    assert set(storage.list("many")) == keys
    assert storage.delete_prefix("many") == 1010
    assert list(storage.list("")) == []


def test_a_missing_bucket_is_named_with_the_remedy(s3_endpoint: str) -> None:
    name = f"missing-{uuid.uuid4().hex[:8]}"
    storage = open_storage(load_worker_settings(storage=f"s3://{name}/x", s3_endpoint=s3_endpoint))
    for attempt in (
        storage.check,
        lambda: storage.put("a", b"x", "text/plain"),
        lambda: storage.get("a"),
        lambda: list(storage.list("a")),
        lambda: storage.delete_prefix("a"),
    ):
        with pytest.raises(StorageNotFound, match=name) as caught:
            attempt()
        assert "OCRQUEUE_STORAGE" in caught.value.info.remedy

    storage.ensure()
    storage.check()
    s3_client(load_worker_settings(s3_endpoint=s3_endpoint)).delete_bucket(Bucket=name)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for the servers below, which must not show up anywhere."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFTESTS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")


def failing(server: HttpServer, **overrides: object) -> Storage:
    values = {"s3_endpoint": server.url(""), "s3_attempts": 1, "s3_timeout_s": 1, "storage": "s3://bucket"}
    return open_storage(load_worker_settings(**(values | overrides)))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AccessDenied", StorageDenied),
        (403, "InvalidAccessKeyId", StorageCredentials),
        (403, "SignatureDoesNotMatch", StorageCredentials),
        (400, "ExpiredToken", StorageCredentials),
        (301, "PermanentRedirect", StorageDenied),
        (400, "AuthorizationHeaderMalformed", StorageDenied),
        (400, "InvalidRequest", StorageDenied),
        (404, "NoSuchKey", StorageNotFound),
        (404, "NoSuchBucket", StorageNotFound),
        (400, "RequestTimeout", StorageUnavailable),
        (429, "TooManyRequests", StorageUnavailable),
        (500, "InternalError", StorageUnavailable),
        (503, "SlowDown", StorageUnavailable),
        (503, "not a code: <very-secret>", StorageUnavailable),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_what_the_servers_errors_become(status: int, code: str, expected: type[OcrQueueError]) -> None:
    with http_server(s3_error(status, code.replace("<", "&lt;"), "very-secret AKIDOFTESTS")) as server:
        storage = failing(server)
        for attempt in (lambda: storage.put("a", b"x", "text/plain"), lambda: storage.get("a"), storage.check):
            with pytest.raises(OcrQueueError) as caught:
                attempt()
            assert "secret" not in str(caught.value)
            assert "AKID" not in str(caught.value)
            assert attempt == storage.check or type(caught.value) is expected
    if code == "PermanentRedirect":
        assert "OCRQUEUE_S3_REGION" in caught.value.info.remedy


@pytest.mark.usefixtures("credentials")
def test_one_refused_object_of_a_deletion_is_an_error() -> None:
    listing = (
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a/1</Key></Contents></ListBucketResult>"
    )
    refusal = b"<DeleteResult><Error><Key>a/1</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    answers = {"HEAD": answer(404), "GET": answer(200, listing), "POST": answer(200, refusal)}
    with (
        http_server(lambda exchange: answers[exchange.method](exchange)) as server,
        pytest.raises(StorageDenied, match=r"AccessDenied \(DeleteObjects\)"),
    ):
        failing(server).delete_prefix("a")


class ScriptedServer:
    """Answers each request with the next of `answers` to its method; the last of them again and again."""

    def __init__(self, **answers: list[Handler]) -> None:
        self.answers = answers
        self.seen: list[str] = []

    def __call__(self, exchange: Exchange) -> None:
        conditional = " if-none-match" if "if-none-match: *" in exchange.head.lower() else ""
        self.seen.append(f"{exchange.method} {exchange.target.partition('?')[0]}{conditional}")
        answers = self.answers[exchange.method]
        (answers.pop(0) if len(answers) > 1 else answers[0])(exchange)


def hang_up(exchange: Exchange) -> None:
    exchange.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("standing", [b"mine", b"another's"])
@pytest.mark.usefixtures("credentials")
def test_a_creation_whose_first_answer_was_lost_finds_what_stands(standing: bytes) -> None:
    script = ScriptedServer(PUT=[hang_up, s3_error(412, "PreconditionFailed")], GET=[answer(200, standing)])
    with http_server(script) as server:
        assert failing(server, s3_attempts=2).put_once("a", b"mine", "text/plain") == standing
    assert script.seen == ["PUT /bucket/a if-none-match"] * 2 + ["GET /bucket/a"]


@pytest.mark.parametrize(("status", "code"), [(409, "ConditionalRequestConflict"), (404, "NoSuchKey")])
@pytest.mark.usefixtures("credentials")
def test_a_creation_in_conflict_with_another_or_a_deletion_is_tried_again(status: int, code: str) -> None:
    script = ScriptedServer(PUT=[s3_error(status, code), answer(200)], GET=[s3_error(404, "NoSuchKey")])
    with http_server(script) as server:
        assert failing(server).put_once("a", b"mine", "text/plain") == b"mine"
    assert script.seen == ["PUT /bucket/a if-none-match", "GET /bucket/a", "PUT /bucket/a if-none-match"]


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
@pytest.mark.usefixtures("credentials")
def test_a_server_without_conditional_writes_is_asked_first(status: int, code: str) -> None:
    script = ScriptedServer(PUT=[s3_error(status, code), answer(200)], HEAD=[answer(404)])
    with http_server(script) as server:
        assert failing(server).put_once("a", b"mine", "text/plain") == b"mine"
    assert script.seen == ["PUT /bucket/a if-none-match", "HEAD /bucket/a", "PUT /bucket/a"]
    script = ScriptedServer(PUT=[s3_error(status, code)], HEAD=[answer(200)], GET=[answer(200, b"another's")])
    with http_server(script) as server:
        assert failing(server).put_once("a", b"mine", "text/plain") == b"another's"
    assert script.seen == ["PUT /bucket/a if-none-match", "HEAD /bucket/a", "GET /bucket/a"]


@pytest.mark.parametrize(
    ("status", "code", "expected"), [(403, "AccessDenied", StorageDenied), (503, "SlowDown", StorageUnavailable)]
)
@pytest.mark.usefixtures("credentials")
def test_a_creation_that_is_refused(status: int, code: str, expected: type[OcrQueueError]) -> None:
    script = ScriptedServer(PUT=[s3_error(status, code)])
    with http_server(script) as server, pytest.raises(expected, match=code):
        failing(server).put_once("a", b"mine", "text/plain")
    assert len(script.seen) == 1


@pytest.mark.usefixtures("credentials")
def test_result_json_is_deleted_first() -> None:
    script = ScriptedServer(HEAD=[answer(200)], DELETE=[answer(204)], GET=[s3_error(503, "SlowDown")])
    with http_server(script) as server, pytest.raises(StorageUnavailable):
        failing(server).delete_prefix("results/1")
    result = "/bucket/results/1/result.json"
    assert script.seen == [f"HEAD {result}", f"DELETE {result}", "GET /bucket"]


@pytest.mark.usefixtures("credentials")
def test_an_overloaded_server_is_asked_as_often_as_set() -> None:
    with http_server(s3_error(503, "SlowDown")) as server, pytest.raises(StorageUnavailable):
        failing(server, s3_attempts=2).put("a", b"x", "text/plain")
    assert len(server.exchanges) == 2


@pytest.mark.usefixtures("credentials")
def test_a_put_is_one_request_without_expect_or_checksum_in_path_style() -> None:
    with http_server(answer(200)) as server:
        failing(server).put("a/b.png", b"x", "image/png")
    (exchange,) = server.exchanges
    head = exchange.head.lower()
    assert exchange.target == "/bucket/a/b.png"
    assert "expect:" not in head
    assert "checksum" not in head
    assert "chunked" not in head
    assert "user-agent: ocrqueue/" in head


@pytest.mark.usefixtures("credentials")
def test_a_server_that_is_silent_closed_or_cut_off() -> None:
    with http_server(silent) as server, pytest.raises(StorageUnavailable, match="ReadTimeoutError"):
        failing(server, s3_timeout_s=0.2).get("a")
    with pytest.raises(StorageUnavailable, match="EndpointConnectionError"):
        failing(server).get("a")
    with (
        http_server(
            lambda exchange: (answer(200, b"half", content_length="9")(exchange), exchange.connection.close())
        ) as server,
        pytest.raises(StorageUnavailable),
    ):
        failing(server).get("a")


def test_no_credentials_at_all(credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with http_server(answer(200)) as server, pytest.raises(StorageCredentials, match="NoCredentialsError"):
        failing(server).put("a", b"x", "text/plain")
    assert not server.exchanges


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(("status", "code"), [(400, "ExpiredToken"), (404, "NoSuchBucket")])
def test_where_nobody_has_chosen_the_storage_the_remedy_is_to_choose_one(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    monkeypatch.delenv("OCRQUEUE_STORAGE", raising=False)
    with http_server(s3_error(status, code)) as server:
        default = load_worker_settings(s3_endpoint=server.url(""), s3_attempts=1)
        chosen = load_worker_settings(s3_endpoint=server.url(""), s3_attempts=1, storage="s3://mine")
        for settings in (default, chosen):
            with pytest.raises((StorageCredentials, StorageNotFound)) as caught:
                open_storage(settings).put("a", b"x", "text/plain")
            remedy = caught.value.info.remedy
            assert remedy.startswith("OCRQUEUE_STORAGE is not set") == (settings is default)
            assert ("file:///folder" in remedy) == (settings is default)
            assert "Jobs wait" not in remedy


def test_wrong_credentials_at_a_real_server(s3_settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    if S3_ENDPOINT_VARIABLE not in os.environ:
        pytest.skip("moto takes any credentials")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    storage = open_storage(s3_settings.model_copy(update={"s3_timeout_s": 11.0}))
    with pytest.raises(StorageCredentials, match="SignatureDoesNotMatch"):
        storage.put("a", b"x", "text/plain")
    with pytest.raises(StorageDenied):
        storage.check()


@pytest.mark.usefixtures("credentials")
def test_an_endpoint_that_is_no_url_and_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(load_worker_settings(storage="s3://bucket", s3_endpoint="not a url with very-secret"))
    with pytest.raises(SettingsInvalid, match="OCRQUEUE_S3_ENDPOINT") as caught:
        storage.get("a")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(SettingsInvalid, match="ProfileNotFound"):
        open_storage(load_worker_settings(storage="s3://bucket", s3_timeout_s=3)).get("a")


@pytest.mark.usefixtures("credentials")
def test_how_the_client_is_set_up_on_and_off_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    on_aws = s3_client(load_worker_settings(s3_region="eu-central-1", upload_threads=3)).meta
    assert on_aws.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    assert on_aws.config.request_checksum_calculation == "when_supported"
    assert on_aws.config.s3["addressing_style"] == "auto"
    assert on_aws.config.max_pool_connections == 5

    in_vpc = s3_client(
        load_worker_settings(s3_endpoint="https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com")
    ).meta
    assert in_vpc.config.request_checksum_calculation == "when_supported"

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://storage.example:9000")
    elsewhere = s3_client(load_worker_settings(s3_attempts=7)).meta
    assert elsewhere.endpoint_url == "http://storage.example:9000"
    assert elsewhere.region_name == "us-east-1"
    assert elsewhere.config.request_checksum_calculation == "when_required"
    assert elsewhere.config.response_checksum_validation == "when_required"
    assert elsewhere.config.s3["addressing_style"] == "path"
    assert elsewhere.config.retries["total_max_attempts"] == 7
    assert s3_client(load_worker_settings(s3_addressing="virtual")).meta.config.s3["addressing_style"] == "virtual"


@pytest.mark.usefixtures("credentials")
def test_one_client_for_a_process_and_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_worker_settings(s3_endpoint="http://storage.example:9001")
    first = s3_client(settings)
    monkeypatch.setattr(boto3.session, "Session", None)  # a second client could not be made
    assert s3_client(load_worker_settings(s3_endpoint="http://storage.example:9001")) is first
    monkeypatch.undo()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert s3_client(settings) is not first


# --- file:// ---------------------------------------------------------------------------------------------------


def test_uris_of_files_are_percent_encoded(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.ensure()
    uri = storage.put("a b/100%?.png", b"x", "image/png")
    assert uri == f"file://{tmp_path}/a%20b/100%25%3F.png"
    assert (tmp_path / "a b" / "100%?.png").read_bytes() == b"x"


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    before = os.umask(0o022)
    try:
        storage.put("a", b"x", "text/plain")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_delete_prefix_removes_the_folders_that_it_empties(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "root")
    storage.ensure()
    storage.put("results/1/crops/a.png", b"x", "image/png")
    storage.put("results/2/crops/a.png", b"x", "image/png")
    storage.delete_prefix("results/1")
    assert [path.name for path in (tmp_path / "root" / "results").iterdir()] == ["2"]
    storage.delete_prefix("results/2")
    assert list((tmp_path / "root").iterdir()) == []


def test_delete_prefix_does_not_follow_symlinks(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"x")
    storage = FileStorage(tmp_path / "root")
    storage.ensure()
    storage.put("results/1/a", b"x", "text/plain")
    (tmp_path / "root" / "results" / "1" / "link").symlink_to(outside)
    storage.delete_prefix("results/1")
    assert (outside / "kept").exists()
    assert not (tmp_path / "root" / "results").exists()


def test_a_reader_never_sees_half_of_a_put(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    versions = [bytes([n]) * 200_000 for n in range(4)]
    storage.put("results/1/result.json", versions[0], "application/json")
    ended = threading.Event()

    def write(data: bytes) -> None:
        while not ended.is_set():
            storage.put("results/1/result.json", data, "application/json")

    writers = [threading.Thread(target=write, args=(data,)) for data in versions]
    for writer in writers:
        writer.start()
    try:
        for _ in range(200):
            assert storage.get("results/1/result.json") in versions
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert list(storage.list("")) == ["results/1/result.json"]


def test_writers_and_a_deleter_at_the_same_time(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    ended = threading.Event()

    def delete() -> None:
        while not ended.is_set():
            storage.delete_prefix("results/1")
            time.sleep(0.001)

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        for number in range(300):
            storage.put(f"results/1/crops/{number}", b"x", "text/plain")
    finally:
        ended.set()
        deleter.join()


def test_result_json_is_deleted_before_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FileStorage(tmp_path)
    for key in ("results/1/crops/a.png", "results/1/crops/b.png", "results/1/result.json"):
        storage.put(key, b"x", "image/png")
    real_unlink, unlinked = Path.unlink, []

    def unlink(path: Path, missing_ok: bool = False) -> None:
        unlinked.append(path.name)
        real_unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert storage.delete_prefix("results/1") == 3
    assert unlinked[0] == "result.json"
    assert sorted(unlinked[1:]) == ["a.png", "b.png"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    storage = FileStorage(tmp_path)
    assert storage.put_once("a/b", b"first", "text/plain") == b"first"
    assert storage.put_once("a/b", b"second", "text/plain") == b"first"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Make room below"),
        (errno.EDQUOT, "Make room below"),
        (errno.EIO, "is mounted, and the health"),
        (errno.ESTALE, "is mounted, and the health"),
    ],
)
def test_a_disk_that_fails_when_it_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    storage = FileStorage(tmp_path)
    for put in (storage.put, storage.put_once):
        with pytest.raises(StorageUnavailable, match=os.strerror(number)) as caught:
            put("results/1/result.json", b"{}", "application/json")
        assert remedy in caught.value.info.remedy
    assert list((tmp_path / "results" / "1").iterdir()) == []


def test_no_more_open_files(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(StorageUnavailable) as caught:
            storage.put("a", b"x", "text/plain")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "ulimit -n" in caught.value.info.remedy


def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FileStorage(tmp_path)
    storage.put("results/1/a", b"x", "text/plain")

    def scandir(_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        with pytest.raises(StorageUnavailable):
            list(storage.list("results"))
        with pytest.raises(StorageUnavailable):
            storage.delete_prefix("results/1")
    assert list(storage.list("results")) == ["results/1/a"]


def test_a_put_that_fails_half_way_leaves_the_old_object_and_no_rubbish(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.put("results/1/result.json", b"old", "application/json")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))  # as a full disk does, in the middle of a write
    try:
        with pytest.raises(StorageUnavailable) as caught:
            storage.put("results/1/result.json", bytes(20_000), "application/json")
        assert "Make room below" in caught.value.info.remedy
        with pytest.raises(StorageUnavailable):
            storage.put_once("results/1/other", bytes(20_000), "application/json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert storage.get("results/1/result.json") == b"old"
    assert [path.name for path in (tmp_path / "results" / "1").iterdir()] == ["result.json"]


def test_what_a_killed_writer_left_is_no_object(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.put("results/1/a", b"x", "text/plain")
    (tmp_path / "results" / "1" / ".ocrqueue-put-0123456789abcdef").write_bytes(b"half")
    assert list(storage.list("results")) == ["results/1/a"]
    assert storage.delete_prefix("results/1") == 1
    assert not (tmp_path / "results").exists()


def test_only_result_json_is_flushed_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    storage = FileStorage(tmp_path)
    storage.put("results/1/crops/a.png", b"x", "image/png")
    assert flushed == []
    storage.put("results/1/result.json", b"{}", "application/json")
    assert len(flushed) == 2
    assert flushed[1] == f"{tmp_path}/results/1"


def test_a_folder_that_is_missing_is_not_made_by_a_put(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "unmounted")
    for attempt in (storage.check, lambda: storage.put("a/b", b"x", "text/plain"), lambda: storage.get("a/b")):
        with pytest.raises(StorageNotFound, match="does not exist") as caught:
            attempt()
        assert "mkdir -p" in caught.value.info.remedy
    assert not (tmp_path / "unmounted").exists()
    storage.ensure()
    storage.check()


def test_a_folder_that_may_not_be_written() -> None:
    storage = FileStorage("/sys/kernel")  # refused even to root
    with pytest.raises(StorageDenied) as caught:
        storage.check()
    assert "write access" in caught.value.info.remedy
    with pytest.raises(StorageDenied):
        storage.put("a", b"x", "text/plain")


def test_a_key_that_is_a_folder_or_too_long(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.put("a/b", b"x", "text/plain")
    for key in ("a", "a/b/c", "x" * 300, "\udc80\ud800"):
        with pytest.raises(StorageNotFound):
            storage.get(key)


@pytest.mark.parametrize("storage_uri", ["file:///a?b", "file:///a%00b", "file:///a#b"])
def test_a_storage_uri_that_names_no_folder(storage_uri: str) -> None:
    with pytest.raises(SettingsInvalid, match="OCRQUEUE_STORAGE"):
        open_storage(load_worker_settings(storage=storage_uri))


@pytest.mark.parametrize("root", ["/", "/storage", "/Bücher 100 %/a#b?c"])
@pytest.mark.parametrize("key", ["a.png", "results/1/ü &+%41#1?.json", "x/\udcff", "~a/b;c=d,e@f:g!h$i'j(k)l*m"])
def test_the_uri_of_a_file_is_that_of_its_path(root: str, key: str) -> None:
    assert FileStorage(root).uri(key) == (Path(root) / key).as_uri()
