"""Files by HTTP: as the body, in a form, past the gateway by a presigned URL; of a cut one nothing is left."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT
from tests.support.gateway_jobs import accepted, ended, problem_of, submitted
from tests.support.gateways import gateway_of
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]

SIGN = (ROOT / "samples/street-sign.jpg").read_bytes()
JPEG = {"content-type": "image/jpeg"}
NULL = {"engine": "null", "crops": "none"}


def stored(settings: WorkerSettings) -> list[Path]:
    folder = Path(settings.storage.removeprefix("file://"))
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_body_is_the_image(http: httpx.Client, installation: Installation) -> None:
    headers = {**JPEG, "content-disposition": 'attachment; filename="../sign one.jpg"'}
    job_id = accepted(http.post("/v1/jobs", params=NULL, content=SIGN, headers=headers))
    told = ended(http, job_id)
    assert (told["state"], told["name"]) == ("succeeded", "sign one.jpg")
    digest = hashlib.sha256(SIGN).hexdigest()
    assert told["image"] == installation.queue.storage.uri(f"inputs/{digest}.jpg")
    assert http.get(f"/v1/jobs/{job_id}/result").json()["input"]["sha256"] == digest


def test_a_form_has_the_image_and_the_fields(http: httpx.Client) -> None:
    fields = {"engine": "null", "crops": "none", "languages": "eng+kor", "tag": "forms", "options": '{"words": 3}'}
    answer = http.post("/v1/jobs", files={"file": ("sign.jpg", SIGN)}, data=fields)
    told = ended(http, accepted(answer))
    assert (told["state"], told["name"], told["tag"]) == ("succeeded", "sign.jpg", "forms")


@pytest.mark.parametrize("with_name", [True, False])
def test_a_form_may_have_the_fields_as_json(http: httpx.Client, with_name: bool) -> None:
    given = json.dumps({**NULL, "languages": ["eng"], "tag": "json"})
    job = ("job.json" if with_name else None, given, "application/json")
    if with_name:
        answer = http.post("/v1/jobs", files=[("file", ("sign.jpg", SIGN))], data={"job": given})
    else:
        answer = http.post("/v1/jobs", files=[("file", ("sign.jpg", SIGN)), ("job", job)])
    assert ended(http, accepted(answer))["tag"] == "json"


def form(*parts: str) -> dict[str, object]:
    """Of a request: these parts, each with its head."""
    body = "".join(f"--x\r\n{part}\r\n" for part in parts) + "--x--\r\n"
    return {"content": body.encode(), "headers": {"content-type": "multipart/form-data; boundary=x"}}


FILE = 'content-disposition: form-data; name="file"; filename="a"\r\n\r\nbytes'


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (form('content-disposition: form-data; name="tag"\r\n\r\nx'), "job.malformed"),
        (form(FILE, FILE), "request.invalid"),
        (form(FILE, 'content-disposition: form-data; name="other"\r\n\r\nx'), "job.malformed"),
        (form(FILE, 'content-disposition: form-data; name="dpi"\r\n\r\nx'), "job.malformed"),
        (form(FILE, 'content-disposition: form-data; name="options"\r\n\r\n{'), "request.invalid"),
        (form(FILE, 'content-disposition: form-data; name="job"\r\n\r\n[]'), "job.malformed"),
        (form(FILE, *['content-disposition: form-data; name="tag"\r\n\r\nx'] * 80), "request.invalid"),
        (form(FILE, 'content-disposition: form-data; name="tag"\r\n\r\n' + "x" * 100_000), "request.invalid"),
        (form(FILE.replace("file", "image", 1)), "job.malformed"),
        (form(FILE.replace("bytes", "")), "image.empty"),
        (form("content-disposition: form-data\r\n\r\nx"), "request.invalid"),
        ({"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data"}}, "request.invalid"),
        ({"content": b"nothing", "headers": {"content-type": "multipart/form-data; boundary=x"}}, "request.invalid"),
        ({"content": b"", "headers": JPEG}, "image.empty"),
    ],
)
def test_a_form_that_is_none(
    idle: httpx.Client, settings: WorkerSettings, request_: dict[str, object], code: str
) -> None:
    problem_of(idle.post("/v1/jobs", **request_), 422, code)  # type: ignore[arg-type]  # see form()
    assert stored(settings) == []


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def small(settings: WorkerSettings, room: Path) -> Iterator[httpx.Client]:
    """A gateway that takes 3 MB."""
    with (
        gateway_of(settings, max_body_bytes=3_000_000, max_batch_bytes=1024) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def hasty(settings: WorkerSettings, room: Path) -> Iterator[httpx.Client]:
    """A gateway that does not wait for a body longer than a moment: a busy machine sends none in time."""
    with (
        gateway_of(settings, body_timeout_s=0.5) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


def test_a_file_that_is_too_large(small: httpx.Client, settings: WorkerSettings, room: Path) -> None:
    problem_of(small.post("/v1/jobs", content=b"x" * 3_000_001, headers=JPEG), 413, "request.too_large")
    problem_of(small.post("/v1/jobs", content=iter([b"x" * 1_000_000] * 4), headers=JPEG), 413, "request.too_large")
    problem_of(small.post("/v1/jobs", files={"file": b"x" * 3_000_001}), 413, "request.too_large")
    problem_of(small.post("/v1/jobs", content=b"x" * 30_000_000, headers=JPEG), 413, "request.too_large")
    json_headers = {"content-type": "application/json"}
    problem_of(small.post("/v1/jobs", content=b" " * 2_000_000, headers=json_headers), 413, "request.too_large")
    assert stored(settings) == []
    assert list(room.iterdir()) == []


def head(client: httpx.Client, *headers: str) -> socket.socket:
    """A connection on which a request has begun."""
    at = urlsplit(str(client.base_url))
    connection = socket.create_connection((at.hostname or "", at.port or 0), timeout=60)
    lines = ["POST /v1/jobs?engine=null HTTP/1.1", f"host: {at.netloc}", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


@pytest.mark.parametrize(
    ("kind", "begin"),
    [("image/jpeg", b""), ("multipart/form-data; boundary=x", f"--x\r\n{FILE}".encode())],
    ids=["body", "form"],
)
def test_a_cut_upload_leaves_nothing(
    small: httpx.Client, settings: WorkerSettings, room: Path, kind: str, begin: bytes
) -> None:
    with head(small, f"content-type: {kind}", "content-length: 2900000") as connection:
        connection.sendall(begin + b"x" * 2_500_000)
    wait_until(lambda: list(room.iterdir()) == [], 60, "what came is gone")
    assert small.get("/v1/jobs").json()["jobs"] == []
    assert stored(settings) == []


def test_an_upload_that_stands_still_is_cut_off(hasty: httpx.Client, settings: WorkerSettings, room: Path) -> None:
    with head(hasty, "content-type: image/jpeg", "content-length: 1000000") as connection:
        connection.sendall(b"x" * 1000)
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 408 ")
    assert "connection: close" in answer
    assert '"code":"request.too_slow"' in answer
    assert stored(settings) == []
    assert list(room.iterdir()) == []


def test_an_upload_that_trickles_is_cut_off(hasty: httpx.Client) -> None:
    with head(hasty, "content-type: image/jpeg", "content-length: 1000000") as connection:
        connection.settimeout(0.1)
        answer = b""
        for _ in range(600):
            # what was answered is read though the other side takes no more
            with suppress(ConnectionError):
                connection.sendall(b"x")
            try:
                answer += connection.recv(10_000)
                break
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_large_upload_takes_little_memory(settings: WorkerSettings, tmp_path: Path) -> None:
    from tests.support.gateways import gateway_process

    size = 100 * 1024 * 1024
    piece = bytes(range(256)) * 4096
    with gateway_process(settings, tmp_path) as (url, process), httpx.Client(base_url=url, timeout=120) as http:
        accepted(http.post("/v1/jobs", params=NULL, content=SIGN, headers=JPEG))
        before = peak_bytes(process.pid)
        began = time.monotonic()
        for way in ("body", "form"):
            marked = way.encode().ljust(len(piece), b"x")
            pieces = [marked, *[piece] * (size // len(piece) - 1)]
            if way == "body":
                accepted(http.post("/v1/jobs", params=NULL, content=iter(pieces), headers=JPEG))
            else:
                path = tmp_path / "large"
                path.write_bytes(b"".join(pieces))
                with path.open("rb") as file:
                    accepted(http.post("/v1/jobs", data=NULL, files={"file": file}))
        grown = peak_bytes(process.pid) - before
        print(f"two uploads of 100 MB: {grown / 1e6:.1f} MB more, {time.monotonic() - began:.1f} s")
    assert grown < 30_000_000
    assert sum(path.stat().st_size for path in stored(settings)) == 2 * size + len(SIGN)


def peak_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_a_file_is_put_to_storage_past_the_gateway(http: httpx.Client, installation: Installation) -> None:
    answer = http.post("/v1/uploads", json={"size_bytes": len(SIGN)})
    assert answer.status_code == 201, answer.text
    upload = answer.json()
    put = httpx.request(upload["method"], upload["url"], content=SIGN, trust_env=False, timeout=60)
    assert put.status_code == 200, put.text
    assert installation.queue.storage.read_uri(upload["image"]) == SIGN
    job_id = submitted(http, image=upload["image"], engine="null")
    assert ended(http, job_id)["state"] == "succeeded"
    # it is the job's, as any other upload is
    assert http.delete(f"/v1/jobs/{job_id}", params={"purge": "true"}).status_code == 204
    assert not installation.queue.storage.exists(f"inputs/{upload['image'].rpartition('/')[2]}")


def test_a_folder_has_no_presigned_urls(idle: httpx.Client) -> None:
    problem_of(idle.post("/v1/uploads", json={"size_bytes": 1}), 409, "upload.unsupported")
    problem_of(idle.post("/v1/uploads", json={"size_bytes": 0}), 422, "request.invalid")
    problem_of(idle.post("/v1/uploads", json={"size_bytes": 4_000_000_000}), 413, "request.too_large")


def test_without_storage_nothing_is_queued(settings: WorkerSettings, tmp_path: Path) -> None:
    (tmp_path / "storage").rmdir()
    with (
        gateway_of(settings) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
        OcrQueue(settings) as queue,
    ):
        problem_of(http.post("/v1/jobs", params=NULL, content=SIGN, headers=JPEG), 503, "storage.unavailable")
        assert queue.jobs().jobs == ()
