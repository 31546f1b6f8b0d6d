"""Redis over TLS with a user and a password: records, queue and results, all of it encrypted."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from ocrqueue import OcrQueue
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import load_settings
from ocrqueue_worker.app import tls_options
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, free_port, need_program, wait_until, worker

HELLO = png(text_picture("Hello 42"))


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that speaks TLS only; the URL trusts the authority that signed its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    authority, key, request, certificate = (folder / name for name in ("ca.pem", "key.pem", "csr.pem", "cert.pem"))
    openssl = need_program("openssl")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    addition = ["-addext", "subjectAltName=IP:127.0.0.1"]
    sign = ["-CA", authority, "-CAkey", folder / "ca.key", "-CAcreateserial", "-copy_extensions", "copy"]
    for command in (
        ["req", "-x509", *new_key, "-keyout", folder / "ca.key", "-out", authority, "-subj", "/CN=test authority"],
        ["req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1", *addition],
        ["x509", "-req", "-in", request, *sign, "-out", certificate],
    ):
        subprocess.run([openssl, *map(str, command)], check=True, capture_output=True)
    port = free_port()
    configuration = folder / "redis.conf"
    configuration.write_text(
        f"""
        port 0
        tls-port {port}
        tls-auth-clients no
        tls-cert-file {certificate}
        tls-key-file {key}
        tls-ca-cert-file {authority}
        user default off
        user ocr on >s3cret ~* &* +@all
        save ""
        dir {folder}
        logfile {folder}/redis.log
        """
    )
    process = subprocess.Popen([need_program("redis-server"), str(configuration)])
    url = f"rediss://ocr:s3cret@127.0.0.1:{port}/0?ssl_ca_certs={authority}"
    try:
        with redis.Redis.from_url(url) as client:
            wait_until(lambda: answers(client), 60, "redis-server answers")
        yield url
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_a_job_goes_all_the_way_over_tls(tls_url: str, tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "hello.png").write_bytes(HELLO)
    settings = load_settings(
        redis_url=tls_url,
        storage=f"file://{tmp_path}/storage",
        source_file_roots=str(tmp_path),
        worker_heartbeat_s=1,
    )
    with worker(as_environment(settings), tmp_path, "-e", "null", "-c", "1") as running, OcrQueue(settings) as queue:
        assert queue.submit(HELLO, engine="null").wait(100).state == "succeeded"
        app = Celery("theirs", broker=tls_url, backend=tls_url, set_as_current=False)
        app.conf.update(broker_use_ssl=tls_options(tls_url), redis_backend_use_ssl=tls_options(tls_url))
        job = {"image": (tmp_path / "hello.png").as_uri(), "engine": "null"}
        sent = app.send_task("ocrqueue.recognize", kwargs={"job": job}, queue="ocr.null")
        assert sent.get(timeout=100)["pages"] == 1
        sent.forget()
        app.close()
        assert "s3cret" not in running.log_text()


def test_a_certificate_of_an_unknown_authority_is_refused(tls_url: str) -> None:
    with OcrQueue(load_settings(redis_url=tls_url.partition("?")[0])) as queue, pytest.raises(BrokerUnavailable):
        queue.job("x").status()


def test_a_wrong_password_is_refused(tls_url: str) -> None:
    with (
        OcrQueue(load_settings(redis_url=tls_url.replace("s3cret", "guess"))) as queue,
        pytest.raises(BrokerUnavailable, match="user or password"),
    ):
        queue.job("x").status()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", None),
        ("rediss://h", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("rediss://h?ssl_cert_reqs=nonsense", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("rediss://h?ssl_cert_reqs=none", {"ssl_cert_reqs": ssl.CERT_NONE}),
        ("rediss://h/1?ssl_ca_certs=/ca.pem&db=1", {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": "/ca.pem"}),
    ],
)
def test_how_celery_is_to_encrypt(url: str, expected: dict[str, object] | None) -> None:
    assert tls_options(url) == expected
