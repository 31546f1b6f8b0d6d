"""Requests that no client makes by mistake: each is answered as a problem, and costs the gateway little."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from ocrqueue.settings import WorkerSettings
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.settings import GatewaySettings
from tests.support.gateway_jobs import problem_of
from tests.support.gateways import served

pytest_plugins = ["tests.support.server_fixtures"]

JSON = {"content-type": "application/json"}
PNG = {"content-type": "image/png"}
FROM_ELSEWHERE = {"x-forwarded-for": "192.0.2.1"}
"""Of a proxy: a key is asked for."""


@pytest.fixture
def failing(settings: WorkerSettings) -> Iterator[httpx.Client]:
    """A gateway with a route that nobody has thought through."""
    app = create_app(GatewaySettings.model_validate({"cors_origins": "https://app.example.org"}), settings)

    @app.get("/v1/broken", include_in_schema=False)
    async def broken() -> None:
        raise ZeroDivisionError("a secret")

    with served(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        yield client


def test_what_nobody_has_foreseen_has_the_headers_of_every_answer(failing: httpx.Client) -> None:
    answer = failing.get("/v1/broken", headers={"x-request-id": "one", "origin": "https://app.example.org"})
    problem_of(answer, 500, "internal.error")
    assert answer.headers["x-request-id"] == "one"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "secret" not in answer.text


def test_a_connection_outlives_what_nobody_has_foreseen(failing: httpx.Client) -> None:
    at = urlsplit(str(failing.base_url))
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=60) as connection:
        for path, status in (("/v1/broken", b" 500 "), ("/healthz", b" 200 ")):
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            head, _, body = connection.recv(10_000).partition(b"\r\n\r\n")
            assert status in head
            length = re.search(rb"content-length: (\d+)", head)
            while length is not None and len(body) < int(length[1]):
                body += connection.recv(10_000)


def test_no_body_is_read_of_those_who_show_no_key(idle: httpx.Client) -> None:
    """Of all routes that there are."""
    paths = idle.get("/v1/openapi.json").json()["paths"]
    with_body = [path for path, operations in paths.items() if "requestBody" in operations.get("post", {})]
    assert {"/v1/jobs", "/v1/batches", "/v1/actions", "/v1/queues/{queue}/pause"} <= set(with_body)
    for path in with_body:
        headers = {**JSON, **FROM_ELSEWHERE}
        problem_of(idle.post(re.sub("{.*?}", "null", path), content=b"[", headers=headers), 401, "key.missing")


@pytest.mark.parametrize("path", ["/v1/actions", "/v1/queues/null/pause", "/v1/tenants/a/pause", "/v1/uploads"])
def test_json_that_is_held_in_memory_has_a_limit(idle: httpx.Client, path: str) -> None:
    large = b'{"reason": "' + b"x" * 2_000_000 + b'"}'
    problem_of(idle.post(path, content=large, headers=JSON), 413, "request.too_large")
    problem_of(idle.post(path, content=iter([large]), headers=JSON), 413, "request.too_large")
    problem_of(idle.post(path, content=b"{}", headers=PNG), 415, "request.media_type")
    for odd in (b"\xff", b"[" * 100_000, b"{", b"[]"):
        problem_of(idle.post(path, content=odd, headers=JSON), 422, "request.invalid")


def test_lines_that_are_empty_are_counted_too(idle: httpx.Client) -> None:
    headers = {"content-type": "application/x-ndjson"}
    problem_of(idle.post("/v1/batches", content=b"\n" * 50_001, headers=headers), 413, "request.too_large")
    problem_of(idle.post("/v1/batches", content=b"\n" * 50_000, headers=headers), 422, "request.invalid")


def test_a_length_twice_told_is_refused(idle: httpx.Client) -> None:
    at = urlsplit(str(idle.base_url))
    hidden = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    both = b"content-type: image/png\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n"
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=60) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\n" + both + hidden)
        answer = b""
        try:
            while piece := connection.recv(10_000):
                answer += piece
        except ConnectionResetError:  # what was not read is thrown away with the connection
            pass
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("name", ["undefined", "idna", "punycode", "hex", "utf-7", "none such"])
def test_encodings_that_nobody_uses(idle: httpx.Client, name: str) -> None:
    disposition = f"attachment; filename*={name}''%ff%41"
    sent = idle.post("/v1/jobs?engine=null", content=b"x", headers={**PNG, "content-disposition": disposition})
    assert sent.status_code == 202
    part = b'content-disposition: form-data; name="file"; filename="\xff-\xe9"'
    form = b"--x\r\n" + part + b"\r\n\r\nabc\r\n--x--\r\n"
    kind = f'multipart/form-data; boundary=x; charset="{name}"'
    sent = idle.post("/v1/jobs?engine=null", content=form, headers={"content-type": kind})
    assert sent.status_code in (202, 422)


def test_credentials_that_are_no_text(idle: httpx.Client) -> None:
    for odd in (b"Basic \xe9", b"Basic /w==", b"Basic", b"Bearer \xe9\xff"):
        headers = {"content-type": b"application/json", "authorization": odd}
        problem_of(idle.post("/v1/events/s3", content=b"{}", headers=headers), 401, "key.invalid")


def test_an_origin_that_is_no_address_is_another(idle: httpx.Client) -> None:
    problem_of(idle.get("/v1/jobs", headers={"origin": "http://[::1"}), 401, "key.missing")


def test_a_result_that_is_told_again_says_so(http: httpx.Client, sign: str) -> None:
    asked = {"headers": {"idempotency-key": "told-again", "prefer": "wait=60"}}
    first = http.post("/v1/jobs", json={"image": sign, "engine": "null"}, **asked)
    again = http.post("/v1/jobs", json={"image": sign, "engine": "null"}, **asked)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.headers["location"] == again.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
