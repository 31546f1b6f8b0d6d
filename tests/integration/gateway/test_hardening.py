"""What stands before every route: hosts, headers, connections that say or read nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from ocrqueue.settings import WorkerSettings
from ocrqueue_gateway.hardening.host_check import host_of, is_allowed
from ocrqueue_gateway.hardening.timed_protocol import TimedProtocol
from tests.integration.gateway.conftest import patient
from tests.support.gateway_jobs import PATIENT_S, problem_of, submitted
from tests.support.gateways import gateway_of
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]


def test_every_answer_says_what_a_browser_may_do(idle: httpx.Client) -> None:
    for answer in (idle.get("/healthz"), idle.get("/v1/jobs"), idle.get("/nothing"), idle.get("/v1/openapi.json")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["x-request-id"]


def test_a_request_keeps_its_id_if_that_is_plain(idle: httpx.Client) -> None:
    assert idle.get("/healthz", headers={"x-request-id": "abc-1.2_3"}).headers["x-request-id"] == "abc-1.2_3"
    for other in ("a b", "x" * 65, "<script>"):
        assert idle.get("/healthz", headers={"x-request-id": other}).headers["x-request-id"] != other


@pytest.fixture
def strict(settings: WorkerSettings) -> Iterator[httpx.Client]:
    given = {
        "allowed_hosts": "ocr.example.org,*.example.net",
        "cors_origins": "https://app.example.org",
        "allow_no_keys": True,
    }
    with (
        gateway_of(patient(settings), **given) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=2 * PATIENT_S) as client,
    ):
        yield client


def test_other_hosts_are_refused(strict: httpx.Client) -> None:
    problem_of(strict.get("/v1/jobs"), 400, "request.host")
    problem_of(strict.get("/v1/jobs", headers={"host": "example.net"}), 400, "request.host")
    assert strict.get("/v1/jobs", headers={"host": "OCR.example.org:8787"}).status_code == 200
    assert strict.get("/v1/jobs", headers={"host": "a.b.example.net"}).status_code == 200
    assert strict.get("/healthz").status_code == 200


def test_hosts() -> None:
    assert host_of("[::1]:8787") == "::1"
    assert is_allowed("anything", ())
    assert not is_allowed("evilexample.net", ("*.example.net",))


def test_browsers_are_let_in_from_origins_that_are_named(strict: httpx.Client) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    ours = {"origin": "https://app.example.org", "host": "ocr.example.org"}
    answer = strict.options("/v1/jobs", headers={**asked, **ours})
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "Location" in strict.get("/v1/jobs", headers=ours).headers["access-control-expose-headers"]
    other = strict.options("/v1/jobs", headers={**asked, **ours, "origin": "https://other.example.org"})
    assert "access-control-allow-origin" not in other.headers


def connected(client: httpx.Client) -> socket.socket:
    at = urlsplit(str(client.base_url))
    return socket.create_connection((at.hostname or "", at.port or 0), timeout=60)


@pytest.mark.parametrize("count", [6000, 20_000, 200_000])
def test_headers_have_a_limit(idle: httpx.Client, count: int) -> None:
    with connected(idle) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * count + b"\r\n")
        answer = b""
        try:
            while piece := connection.recv(10_000):
                answer += piece
        except ConnectionResetError:  # what was not read is thrown away with the connection
            pass
    assert answer == b"" or b" 400 " in answer or b" 431 " in answer


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n", b"\0\0\0"])
def test_a_connection_that_asks_nothing_is_closed(
    idle: httpx.Client, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(TimedProtocol, "headers_timeout_s", 0.2)
    with connected(idle) as connection:
        connection.sendall(said)
        answer = connection.recv(10_000)
        assert answer == b"" or b" 400 " in answer


def test_a_second_request_has_its_time_too(idle: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(idle) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        # from now on: on a busy machine the first request could come too late itself
        monkeypatch.setattr(TimedProtocol, "headers_timeout_s", 0.5)
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        while connection.recv(10_000):
            pass


def test_a_request_that_takes_long_is_not_cut_off(idle: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = submitted(idle, image="https://example.org/a.png", engine="null")
    monkeypatch.setattr(TimedProtocol, "headers_timeout_s", 0.1)

    def is_answered() -> bool:
        # on a connection of its own, whose time for headers begins with it: a busy machine may send them too late
        with suppress(httpx.TransportError), httpx.Client(base_url=idle.base_url, timeout=60, trust_env=False) as http:
            return bool(http.get(f"/v1/jobs/{job_id}", params={"wait": 0.5}).json()["state"] == "queued")
        return False

    wait_until(is_answered, 60, "a wait that is longer than headers may take is answered")


def test_a_client_that_reads_nothing_is_cut_off(idle: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimedProtocol, "send_timeout_s", 0.3)
    with connected(idle) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = b"GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
        connection.settimeout(60)
        with pytest.raises(ConnectionError):
            send_without_end(connection, asked * 50)


def send_without_end(connection: socket.socket, data: bytes) -> None:
    for _ in range(100_000):
        connection.sendall(data)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes: an answer may come in several pieces."""
    answer = b""
    while piece := connection.recv(10_000):
        answer += piece
    return answer


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnone\r\n",
    ],
)
def test_garbage_is_answered_with_400(idle: httpx.Client, garbage: bytes) -> None:
    with connected(idle) as connection:
        connection.sendall(garbage + b"\r\n" * 4)
        head, _, body = all_of(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert b"\r\nx-content-type-options: nosniff\r\n" in head
    assert b"\r\nconnection: close" in head.lower()
    problem = json.loads(body)
    assert (problem["code"], problem["status"]) == ("request.invalid", 400)
    assert problem["remedy"]


def test_what_follows_a_request_and_is_none_is_answered_after_it(idle: httpx.Client) -> None:
    with connected(idle) as connection:
        # HTTP/9.9 is taken for what is known of HTTP
        connection.sendall(b"GET /nothing HTTP/9.9\r\n\r\n" + b"\r\n" * 4)
        answers = all_of(connection)
    first, second = answers.index(b"HTTP/1.1 404 "), answers.index(b"HTTP/1.1 400 ")
    assert first < second
    assert answers.count(b'"code":"request.invalid"') == 1
