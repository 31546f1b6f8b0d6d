"""Every bad input, through the whole system: its code in the record, the worker's processes unchanged after it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ocrqueue import JobStatus
from ocrqueue.client import registry_of
from ocrqueue.core.celery_messages import TASK
from ocrqueue.core.check import check
from ocrqueue.storage.s3_client import s3_client
from tests.integration.conftest import Installation
from tests.support.brokers import Messages, celery_app
from tests.support.hostile_images import HOSTILE
from tests.support.hostile_pdfs import HOSTILE_PDFS
from tests.support.pdfs import A4
from tests.support.pictures import png, text_picture
from tests.support.processes import wait_until
from tests.support.servers import HttpServer, answer, endless, http_server, silent

pytest_plugins = ["tests.support.server_fixtures"]

HELLO = png(text_picture("Hello 42"))


@pytest.fixture(autouse=True)
def _the_worker_lives_on(installation: Installation) -> Iterator[None]:
    main, children = installation.worker.pid, installation.worker.children()
    yield
    assert installation.worker.alive()
    assert (installation.worker.pid, installation.worker.children()) == (main, children)
    assert installation.queue.submit(HELLO, engine="null").wait(100).state == "succeeded"
    assert check(registry_of(installation.queue)) == []


def code(status: JobStatus) -> str | None:
    return status.error.code if status.error else None


# --- images --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_image(installation: Installation, name: str) -> None:
    make, expected = HOSTILE[name]
    job = installation.queue.submit(make(), crops="archive")
    status = job.wait(60)
    if name == "tiff_broken_second_page":
        assert (status.state, code(status)) == ("partial", expected)
        assert job.result().pages[0].text
    elif expected is not None:
        assert (status.state, code(status)) == ("failed", expected)
        assert status.error is not None
        assert status.error.remedy
    else:
        assert (status.state, code(status)) == ("succeeded", None)
        assert "Hello" in job.result().text


@pytest.mark.parametrize("engine", ["null", "tesseract"])
def test_pdfs(installation: Installation, engine: str) -> None:
    cases = HOSTILE_PDFS.items() if engine == "null" else [("form_field", HOSTILE_PDFS["form_field"])]
    # one page takes as long as it may
    quick = [(name, make(), code) for name, (make, code) in cases if code != "pdf.page_too_slow"]
    jobs = installation.queue.submit_many([data for _, data, _ in quick], engine=engine, dpi=100)
    for (name, _, expected), job in zip(quick, jobs, strict=True):
        status = job.wait(100)
        assert (name, code(status)) == (name, expected)
        assert status.error is None or status.error.remedy
        if engine == "tesseract":
            [page] = job.result().pages
            assert (page.text, page.dpi, page.size_pt, page.width) == ("Hello 42", 100, A4, 826)


# --- references ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web() -> Iterator[HttpServer]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    routes = {
        "/hello.png": answer(200, HELLO),
        "/403": answer(403),
        "/404": answer(404),
        "/503": answer(503),
        "/418": answer(418),
        "/loop": answer(302, location="/loop"),
        "/to-private": answer(302, location="http://127.0.0.2:1/secret"),
        "/to-metadata": answer(302, location="http://169.254.169.254/latest/meta-data/"),
        "/to-file": answer(302, location="file:///etc/passwd"),
        "/silent": silent,
        "/drip": lambda exchange: exchange.drip(head + HELLO, 0.05),
        "/endless": endless(head),
        "/announced": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n"),
    }
    with http_server(routes) as server:
        yield server


def ended(installation: Installation, reference: str, expected: str | None) -> JobStatus:
    """Asked for again where this process, which serves it, was kept from answering for as long as a fetch may take."""
    for _ in range(5):
        status = installation.queue.submit(reference).wait(100)
        if code(status) == expected or code(status) != "source.timeout":
            break
    return status


def test_a_good_reference_is_read(installation: Installation, web: HttpServer) -> None:
    assert ended(installation, web.url("/hello.png?size=1"), None).state == "succeeded"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/403", "source.access_denied"),
        ("/404", "source.not_found"),
        ("/418", "source.http_error"),
        ("/503", "source.unavailable"),
        ("/loop", "source.too_many_redirects"),
        ("/to-private", "source.address_not_allowed"),
        ("/to-metadata", "source.address_not_allowed"),
        ("/to-file", "source.scheme_not_allowed"),
        ("/silent", "source.timeout"),
        ("/drip", "source.timeout"),
        ("/endless", "source.too_large"),
        ("/announced", "source.too_large"),
    ],
)
def test_web_reference(installation: Installation, web: HttpServer, path: str, expected: str) -> None:
    assert code(ended(installation, web.url(path), expected)) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("http://127.0.0.2/x.png", "source.address_not_allowed"),
        ("http://[::1]/x.png", "source.address_not_allowed"),
        ("http://0x7f.2/x.png", "source.address_not_allowed"),
        ("http://nowhere.invalid/x.png", "source.unavailable"),
        ("s3://no-such-bucket-of-ours/x.png", "source.bucket_not_found"),
        ("file:///etc/passwd", "source.path_not_allowed"),
        ("file:///no/such/file", "source.path_not_allowed"),
        ("ftp://example.org/x.png", "source.scheme_not_allowed"),
        ("data:image/png;base64,AAAA", None),
        ("http://", "source.invalid"),
        ("http://[/x.png", "source.invalid"),
        ("s3://[/x.png", "source.invalid"),
        ("gs://[/x.png", "source.invalid"),
        ("file://[/x.png", "source.invalid"),
        ("s3://bucket", "source.invalid"),
    ],
)
def test_reference(installation: Installation, reference: str, expected: str | None) -> None:
    if expected is None:
        # no :// in it, so a path to the client; by name it reaches the worker
        job_id = send_by_name(installation, {"job": {"image": reference}})
        wait_until(lambda: known(installation, job_id), 60, "it is taken in: until then it has no record")
        assert code(installation.queue.job(job_id).wait(100)) in {"source.scheme_not_allowed", "source.invalid"}
    else:
        assert code(installation.queue.submit(reference).wait(60)) == expected


def test_missing_key(installation: Installation, s3_bucket: str) -> None:
    assert code(installation.queue.submit(f"s3://{s3_bucket}/no/such/key.png").wait(100)) == "source.not_found"


def test_object_that_is_too_large(installation: Installation, s3_bucket: str) -> None:
    s3_client(installation.settings).put_object(Bucket=s3_bucket, Key="large", Body=bytes(3_000_000))
    assert code(installation.queue.submit(f"s3://{s3_bucket}/large").wait(100)) == "source.too_large"


def test_file_under_an_allowed_root_and_around_it(installation: Installation) -> None:
    root = installation.file_root
    (root / "good picture.png").write_bytes(HELLO)
    assert installation.queue.submit((root / "good picture.png").as_uri()).wait(100).state == "succeeded"
    (root / "link.png").symlink_to("/etc/passwd")
    (root / "folder").mkdir(exist_ok=True)
    for reference, expected in [
        (f"file://{root}/link.png", "source.path_not_allowed"),
        (f"file://{root}/../../etc/passwd", "source.path_not_allowed"),
        (f"file://{root}/%2e%2e/%2e%2e/etc/passwd", "source.path_not_allowed"),
        (f"file://{root}/missing.png", "source.not_found"),
    ]:
        assert code(installation.queue.submit(reference).wait(100)) == expected, reference


# --- messages ------------------------------------------------------------------------------------------------------


def send_by_name(installation: Installation, kwargs: Any, args: Any = (), queue: str = "ocr.tesseract") -> str:
    with celery_app(installation.settings) as app:
        return str(app.send_task(TASK, args=args, kwargs=kwargs, queue=queue, ignore_result=True).id)


def known(installation: Installation, job_id: str) -> bool:
    (status,) = registry_of(installation.queue).statuses([job_id])
    return status is not None


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, "job.malformed"),
        ({"job": None}, "job.malformed"),
        ({"job": "s3://b/k"}, "job.malformed"),
        ({"job": []}, "job.malformed"),
        ({"job": {}}, "job.malformed"),
        ({"job": {"image": 7}}, "job.malformed"),
        ({"job": {"image": "s3://b/k", "surprise": 1}}, "job.malformed"),
        ({"job": {"image": "s3://b/k"}, "surprise": 1}, "job.malformed"),
        ({"job": {"image": "s3://b/k", "id": "../../x"}}, "job.malformed"),
        ({"job": {"image": "s3://b/k", "languages": ["../../etc"]}}, "job.malformed"),
        ({"job": {"image": "s3://b/k", "schema_version": 2}}, "job.schema_unsupported"),
        ({"job": {"image": "s3://b/k", "engine": "clairvoyance"}}, "engine.unknown"),
        ({"job": {"image": "s3://b/k", "languages": ["xyz"]}}, "language.missing"),
        ({"job": {"image": "s3://b/k", "options": {"speed": 11}}}, "option.unknown"),
        ({"job": {"image": "s3://b/k", "options": {"psm": 99}}}, "option.invalid"),
        ({"job": {"image": "s3://b/k", "options": {"whitelist": "a\nb"}}}, "option.invalid"),
    ],
)
def test_message(installation: Installation, kwargs: dict[str, Any], expected: str) -> None:
    job_id = send_by_name(installation, kwargs)
    wait_until(lambda: known(installation, job_id), 60, "it is taken in: until then it has no record")
    job = installation.queue.job(job_id)
    status = job.wait(100)
    assert (status.state, code(status)) == ("failed", expected)


def test_a_task_id_that_is_no_job_id_is_refused_and_its_sender_hears_of_it(installation: Installation) -> None:
    kwargs = {"job": {"image": "s3://b/k"}}
    with celery_app(installation.settings) as app:
        sent = app.send_task(TASK, kwargs=kwargs, queue="ocr.tesseract", task_id="../../a b")
        with pytest.raises(Exception, match=r"job\.malformed"):
            sent.get(timeout=100)
        sent.forget()


def test_a_message_for_another_task_is_dropped_and_its_body_not_logged(installation: Installation) -> None:
    with celery_app(installation.settings) as app:
        app.send_task("other.task", kwargs={"url": "https://h/x?signature=hunter9"}, queue="ocr.tesseract")
    wait_until(lambda: "its task is unknown: 'other.task'" in installation.worker.log_text(), 60, "it is dropped")
    assert Messages(installation.queue, "ocr.tesseract").count() == 0
    assert "hunter9" not in installation.worker.log_text()


def test_positional_arguments_are_taken_or_refused_in_order(installation: Installation) -> None:
    for args, expected in (
        ([{"image": "s3://b/k", "engine": "clairvoyance"}], "engine.unknown"),
        (["a", "b", "c"], "job.malformed"),
    ):
        job_id = send_by_name(installation, {}, args)
        wait_until(partial(known, installation, job_id), 60, "it is taken in")
        assert code(installation.queue.job(job_id).wait(100)) == expected


BROKEN_ENVELOPES = [
    {"properties": {"body_encoding": "base64"}, "body": "%%%"},
    {"properties": {"delivery_tag": ["list"], "delivery_info": {}}, "body": ""},
    {"headers": {"task": ["list"], "id": "1"}},
    {"headers": {"task": TASK, "id": None}},
    {"headers": {"task": TASK, "id": "x", "timelimit": 5}},
    {"headers": {"task": TASK, "id": "x", "eta": "yesterday"}},
    {"headers": {"task": TASK, "id": "x", "retries": "many"}},
    {"headers": []},
    {"content-type": "application/x-python-serialize"},
    {"content-encoding": "klingon"},
]


def broken(installation: Installation, change: dict[str, Any]) -> bytes:
    """A message as it should be, but for this."""
    nobody_reads = f"nobody-reads-{uuid.uuid4().hex[:8]}"
    messages = Messages(installation.queue, nobody_reads)
    messages.send({"image": "s3://b/k", "engine": "null"}, ignore_result=True)
    (sent,) = messages.all()
    envelope = json.loads(sent)
    for name, value in change.items():
        keep = isinstance(value, dict) and isinstance(envelope[name], dict)
        envelope[name] = {**envelope[name], **value} if keep else value
    return json.dumps(envelope).encode()


@pytest.mark.parametrize(
    "message", [b"", b"not json", b"{}", b'{"body": 1}', b"[1, 2]", b"\x80\x04K\x01.", *BROKEN_ENVELOPES]
)
def test_what_is_no_message_at_all(installation: Installation, message: bytes | dict[str, Any]) -> None:
    messages = Messages(installation.queue, "ocr.null")
    messages.put(message if isinstance(message, bytes) else broken(installation, message))
    wait_until(lambda: messages.count() == 0, 60, "it is not left there")
    assert installation.queue.submit(HELLO, engine="null").wait(100).state == "succeeded"


def test_a_pickled_message_is_refused(installation: Installation) -> None:
    with celery_app(installation.settings) as app:
        app.conf.update(task_serializer="pickle", accept_content=["pickle", "json"])
        kwargs = {"job": {"image": "s3://b/k"}}
        job_id = f"pickle-{uuid.uuid4()}"
        app.send_task(TASK, kwargs=kwargs, queue="ocr.tesseract", task_id=job_id, ignore_result=True)
    wait_until(lambda: known(installation, job_id), 60, "it is taken in")
    status = installation.queue.job(job_id).wait(60)
    assert code(status) == "job.malformed"
