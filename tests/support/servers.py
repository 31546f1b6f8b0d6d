"""Servers for the tests: an S3-compatible one, and an HTTP one that misbehaves as it is told."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.processes import free_port, unmeasured, wait_until

S3_ENDPOINT_VARIABLE = "OCRQUEUE_TEST_S3_ENDPOINT"


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an S3 server: the one in OCRQUEUE_TEST_S3_ENDPOINT, else a moto server of one's own.

    Credentials are in the environment: see s3_environment().
    """
    if endpoint := os.environ.get(S3_ENDPOINT_VARIABLE):
        yield endpoint
        return
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)],
        env=unmeasured(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or _accepts(port), 60, "moto answers")
        assert process.poll() is None, "moto did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Guarded:
    """An S3 server of one's own that knows its users, and checks what they sign."""

    endpoint: str
    admin: Mapping[str, str]
    """Access key and secret of one who may do everything."""

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", **self.admin)

    def make_user(self, name: str) -> Mapping[str, str]:
        """Access key and secret of one who may do everything in S3."""
        return _make_user(self.client("iam"), name, "s3:*")


@contextmanager
def guarded_s3_server() -> Iterator[Guarded]:
    port = free_port()
    program = "from moto.server import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "-H", "127.0.0.1", "-p", str(port)],
        # to make the first user nobody needs to be one
        env=unmeasured() | {"INITIAL_NO_AUTH_ACTION_COUNT": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or _accepts(port), 60, "moto answers")
        endpoint = f"http://127.0.0.1:{port}"
        nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "none"}
        iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1", **nobody)
        yield Guarded(endpoint, _make_user(iam, "admin", "*"))
    finally:
        process.kill()
        process.wait()


def _make_user(iam: Any, name: str, action: str) -> Mapping[str, str]:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def s3_environment(endpoint: str) -> dict[str, str]:
    """The AWS_* variables with which boto3 reaches `endpoint`; moto takes any credentials."""
    given = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if name in os.environ}
    return {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "testsecret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **given,
    }


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Exchange:
    """One request and the connection that it came on."""

    connection: socket.socket
    method: str
    target: str
    head: str
    stopped: threading.Event
    body: bytes = b""

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.sendall(part)

    def drip(self, data: bytes, pause_s: float) -> None:
        """Send one byte at a time until the client or the test gives up."""
        for byte in data:
            if self.stopped.wait(pause_s):
                return
            self.send(bytes([byte]))


Handler = Callable[[Exchange], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Handler:
    """A whole answer; a header `content_length` replaces the right one."""
    named = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in named.items())]
    return lambda exchange: exchange.send("\r\n".join(lines).encode() + b"\r\n\r\n", body)


def endless(head: bytes) -> Handler:
    """`head`, then zeros for as long as the client takes them."""

    def handle(exchange: Exchange) -> None:
        exchange.send(head)
        while not exchange.stopped.is_set():
            exchange.send(bytes(65536))

    return handle


def silent(exchange: Exchange) -> None:
    """No byte at all."""
    exchange.stopped.wait()


@dataclass
class HttpServer:
    scheme: str
    port: int
    exchanges: list[Exchange] = field(default_factory=list)

    def url(self, target: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{target}"


@contextmanager
def http_server(
    routes: Mapping[str, Handler] | Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[HttpServer]:
    """An HTTP server: `routes` by path (404 for others), or one handler for all."""
    listener = socket.create_server((host, 0))
    server = HttpServer("https" if tls else "http", listener.getsockname()[1])
    stopped = threading.Event()
    threads: list[threading.Thread] = []
    open_sockets: set[socket.socket] = set()

    def serve(connection: socket.socket) -> None:
        # A client that gives up in the middle is what many tests are about.
        with suppress(OSError), connection:
            connection.settimeout(30)
            with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
                open_sockets.add(stream)
                while (exchange := _receive(stream, stopped)) is not None:
                    server.exchanges.append(exchange)
                    path = exchange.target.partition("?")[0]
                    (routes if callable(routes) else routes.get(path, answer(404)))(exchange)

    def listen() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            open_sockets.add(connection)
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    listener.settimeout(0.05)
    threads.append(threading.Thread(target=listen, daemon=True))
    threads[0].start()
    try:
        yield server
    finally:
        stopped.set()
        threads[0].join()
        listener.close()
        for each in list(open_sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(30)


def _receive(stream: socket.socket, stopped: threading.Event) -> Exchange | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = stream.recv(65536)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    for line in lines:
        if line.lower().startswith("content-length:"):
            length = int(line.partition(":")[2])
            while len(body) < length and (chunk := stream.recv(65536)):
                body += chunk
    method, target, _ = lines[0].split(" ")
    return Exchange(stream, method, target, head.decode("latin-1"), stopped, body)


def s3_error(status: int, code: str, message: str = "") -> Handler:
    """An answer as S3 gives it to a request that fails."""
    xml = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()

    def handle(exchange: Exchange) -> None:
        body = b"" if exchange.method == "HEAD" else xml
        answer(status, body, content_type="application/xml", x_amz_bucket_region="eu-west-1")(exchange)

    return handle


def certificate(names: list[str], folder: Path, *, expired: bool = False) -> tuple[Path, ssl.SSLContext]:
    """A new certificate authority's file, and a server's context with its certificate for `names`."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
    begin = datetime.now(UTC) - timedelta(days=3)
    end = begin + timedelta(days=1 if expired else 30)

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey, until: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(until)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False)
        )

    authority = (
        builder(issuer, authority_key.public_key(), begin + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), False)
        .sign(authority_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    host = (
        builder(subject, key.public_key(), end)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
        .sign(authority_key, hashes.SHA256())
    )
    authority_file, chain = folder / f"authority-{time.monotonic_ns()}.pem", folder / "server.pem"
    authority_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + host.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return authority_file, context


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
